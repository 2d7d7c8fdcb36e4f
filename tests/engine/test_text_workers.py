"""Text is prepared in worker processes; a crash of one affects only the request that caused it."""

from __future__ import annotations

import os
import queue
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tiny_model import CHAT_TEMPLATE, make_tokenizer
from youtu_edge.engine.incoming import IncomingQuery, incoming, read
from youtu_edge.engine.text import text_workers
from youtu_edge.engine.text.fork_server import ForkServerGoneError
from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.engine.text.text_work import Prepared, TextWork
from youtu_edge.engine.text.text_worker import Outcome
from youtu_edge.engine.text.text_workers import MAX_WAITING_BYTES, TextWorkers
from youtu_edge.protocol.from_engine import Failed, Reply
from youtu_edge.protocol.prompt import ChatMessage
from youtu_edge.protocol.to_engine import JsonSchema, Lark, Query, Regex, SamplingParams, Submit, Tokenize

MIB = 1024 * 1024
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
TEMPLATE = f"{{% if messages[0]['content'] == 'endless' %}}{ENDLESS}{{% endif %}}{CHAT_TEMPLATE}"
TOO_MUCH = "takes more time or memory than a request may"


class Workers:
    """Workers with the tiny tokenizer, and requests to them."""

    def __init__(self, data_bytes: int = 24 * MIB, max_tokens: int = 100_000) -> None:
        tokenizer = make_tokenizer()
        work = TextWork(tokenizer, Prompter(tokenizer, TEMPLATE), tokenizer.get_vocab_size(), is_bounded=True)
        self.texts = TextWorkers(work)
        self.done: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.texts.start(data_bytes, max_tokens, lambda: self.done.put(None))

    def prompt(self, text: str, **more: Any) -> Future[Outcome]:
        return self.texts.submit(incoming(Submit("r", SamplingParams(), 5, prompt=text, **more)))

    def chat(self, text: str) -> Future[Outcome]:
        return self.texts.submit(incoming(Submit("r", SamplingParams(), 5, messages=[ChatMessage("user", text)])))

    @property
    def server(self) -> int:
        return self.texts._server.pid

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return [int(pid) for pid in Path(f"/proc/{self.server}/task/{self.server}/children").read_text().split()]


@pytest.fixture
def workers() -> Iterator[Workers]:
    found = Workers()
    yield found
    found.texts.close()


def is_served(workers: Workers) -> bool:
    """Whether an ordinary request is served."""
    outcome = workers.prompt("the end").result(60)
    return isinstance(outcome, Prepared) and outcome.num_tokens == len(outcome.tokens) > 1


def test_a_worker_does_what_the_engine_would(workers: Workers) -> None:
    """The same tokens; questions are answered in the words of the front; waiting requests are answered."""
    tokenizer = make_tokenizer()
    prompter = Prompter(tokenizer, TEMPLATE)
    prepared = workers.chat("hello").result(60)
    assert isinstance(prepared, Prepared)
    assert prepared.tokens == prompter.encode_chat([ChatMessage("user", "hello")])
    workers.done.get(timeout=60)
    question = read(msgspec.msgpack.encode(Query("ask-1", Tokenize("the end", add_special=False))))
    assert isinstance(question, IncomingQuery)
    answer = workers.texts.submit(question).result(60)
    assert isinstance(answer, msgspec.Raw)
    assert msgspec.msgpack.decode(answer, type=Reply).tokens == prompter.encode_text("the end", add_special=False)


def test_a_text_that_takes_for_ever_is_given_up_and_delays_nobody(workers: Workers) -> None:
    """It is tried twice, the second time beside the others, which are served meanwhile."""
    endless = workers.chat("endless")
    assert is_served(workers)
    assert is_served(workers)
    assert not endless.done()
    failed = endless.result(300)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.param) == ("invalid_request", "messages")
    assert TOO_MUCH in failed.message


@pytest.mark.parametrize("run", ["a", " ", "\n", ".", "7", "\u4e2d", "<|im_end|>", "a b "])
def test_a_text_that_takes_too_much_memory_is_refused(run: str) -> None:
    """A failed allocation ends a process, or is a panic, or an error of Python: the request's, whatever it is."""
    workers = Workers(data_bytes=2 * MIB, max_tokens=10**9)
    try:
        failed = workers.prompt(run * (1_500_000 // len(run.encode()))).result(120)
        assert isinstance(failed, Failed)
        assert (failed.code, failed.param) == ("invalid_request", "prompt")
        assert is_served(workers)
    finally:
        workers.texts.close()


@pytest.mark.parametrize(
    "grammar",
    [
        Lark("grammar", 'start: T40\nT0: "a"\n' + "\n".join(f"T{i + 1}: T{i} T{i}" for i in range(40))),
        JsonSchema("response_format", {"type": "integer", "multipleOf": 999983}),
        JsonSchema("response_format", {"enum": [f"value number {index}" for index in range(50_000)]}),
    ],
)
def test_a_grammar_that_takes_too_much_is_refused(workers: Workers, grammar: Lark | JsonSchema) -> None:
    failed = workers.prompt("x", grammar=grammar).result(120)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.param) == ("invalid_request", grammar.param)
    assert is_served(workers)


def test_a_grammar_of_one_endless_text_is_served(workers: Workers) -> None:
    """Nothing of it is worked out before it is needed."""
    for pattern in ("(((a{1000}){1000}){1000})", "[ab](((a{1000}){1000}){1000})"):
        assert isinstance(workers.prompt("x", grammar=Regex("regex", pattern)).result(120), Prepared)


def test_a_worker_that_is_killed_is_replaced_and_its_request_served(workers: Workers) -> None:
    """Killed by the kernel or by a user, or only stopped."""
    assert is_served(workers)
    for number in (signal.SIGKILL, signal.SIGSTOP):
        (pid,) = workers.pids
        os.kill(pid, number)
        assert is_served(workers)  # by another lane
        assert is_served(workers)
        assert pid not in workers.pids


def test_without_its_fork_server_the_engine_has_to_go(workers: Workers) -> None:
    """Its workers are gone with it, and no request is blamed."""
    assert is_served(workers)
    os.kill(workers.server, signal.SIGKILL)
    os.waitpid(workers.server, 0)
    with pytest.raises(ForkServerGoneError):
        workers.prompt("the end").result(60)


def test_more_text_than_the_engine_can_hold_does_not_wait(workers: Workers) -> None:
    """What is beyond the bound is refused at once, and can come again later."""
    futures = [workers.prompt("a" * (MAX_WAITING_BYTES // 4)) for _ in range(12)]
    outcomes = [future.result(120) for future in futures]
    codes = {outcome.code for outcome in outcomes if isinstance(outcome, Failed)}
    assert "unavailable" in codes
    assert is_served(workers)


def test_a_text_for_which_there_is_no_memory_is_refused_for_now(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine and the other requests go on."""

    def no_memory(*_: object) -> bytes:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(text_workers, "encode_task", no_memory)
        outcome = workers.prompt("hello").result(60)
    assert isinstance(outcome, Failed)
    assert (outcome.id, outcome.code) == ("r", "unavailable")
    assert is_served(workers)


def test_work_that_nobody_waits_for_is_spared(workers: Workers) -> None:
    """A cancelled request is not begun."""
    first = workers.chat("endless")
    others = [workers.chat("endless") for _ in range(3)]
    assert all(other.cancel() for other in others[1:])
    assert is_served(workers)
    first.cancel()


def test_a_prompt_that_cannot_fit_comes_back_without_its_tokens(workers: Workers) -> None:
    """The engine says how many they are; it has no room for them."""
    workers = Workers(max_tokens=100)
    try:
        found = workers.prompt("the end " * 60).result(60)
        assert isinstance(found, Prepared)
        assert found.num_tokens > 100
        assert found.tokens == []
        long = workers.prompt("the end " * 100_000).result(60)
        assert isinstance(long, Failed)
        assert (long.code, long.param) == ("context_length_exceeded", "prompt")
    finally:
        workers.texts.close()
