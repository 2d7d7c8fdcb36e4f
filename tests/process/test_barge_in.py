"""Interrupting an answer, with a real engine: how soon it stops, and how little the next turn computes."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from daemon_process import Daemon
from tiny_model import make_tokenizer


def new_tokens(prompt: str) -> int:
    """Tokens between the end of an answer and the beginning of the next one."""
    text = f"<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    return len(make_tokenizer().encode(text).ids)


def say(daemon: Daemon, prompt: str, session: str = "voice", **more: Any) -> tuple[str, int]:
    """The answer in a session, and how many tokens of its prompt were computed."""
    status, answer = daemon.post("/chat", {"prompt": prompt, "session_id": session, "temperature": 0, **more})
    assert status == 200, answer
    usage = answer["usage"]
    return answer["response"], usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"temperature": 1.2, "seed": 8}])
def test_after_an_answer_only_the_new_question_is_computed(daemon: Daemon, sampling: dict[str, Any]) -> None:
    """Whatever tokens the model chose for its answer: these random ones are never the tokenizer's choice.

    One more than the question, because the last token of an answer is drawn and never run.
    """
    say(daemon, "a first question", max_new_tokens=60, **sampling)
    for number in range(3):
        prompt = f"question number {number}"
        _, computed = say(daemon, prompt, max_new_tokens=40, **sampling)
        assert computed == new_tokens(prompt) + 1


def interrupted(daemon: Daemon, characters: int) -> str:
    """A session whose only answer was interrupted while it came. On a busy machine the answer may be faster: once more."""
    for number in range(20):
        session = f"interrupted-{number}"
        body = {"prompt": "tell me a long story", "session_id": session, "max_new_tokens": 450}
        stream, heard = daemon.stream(body, "/chat_stream"), ""
        while len(heard) <= characters:
            heard += next(stream).get("text", "")
        status, answer = daemon.post(f"/v1/sessions/{session}/interrupt", {"spoken_chars": characters})
        assert (status, answer["content"]) == (200, heard[:characters])
        if answer["request_id"]:
            assert list(stream)[-1]["finish_reason"] == "cancelled"
            return session
    raise AssertionError("every answer had ended before it could be interrupted")


def test_after_an_interruption_the_next_turn_computes_only_what_is_new(daemon: Daemon) -> None:
    """Cut while it is being generated and again later, the answer keeps its cached tokens up to the cut."""
    session = interrupted(daemon, 50)
    # The cut may lie inside a token; its beginning is encoded anew, in at most as many tokens as it has characters.
    _, computed = say(daemon, "stop", session, max_new_tokens=30)
    assert new_tokens("stop") <= computed <= new_tokens("stop") + 3
    answer = daemon.post(f"/v1/sessions/{session}/interrupt", {"spoken_chars": 10})[1]
    assert (answer["request_id"], len(answer["content"])) == (None, 10)
    _, computed = say(daemon, "and now", session, max_new_tokens=5)
    assert new_tokens("and now") <= computed <= new_tokens("and now") + 3


def hold(process: int) -> None:
    """SIGSTOP, and wait until it has stopped."""
    os.kill(process, signal.SIGSTOP)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "T" and time.monotonic() < deadline:
        time.sleep(0.005)


def test_nothing_is_generated_after_the_step_in_which_a_cancel_arrives(daemon: Daemon) -> None:
    """The engine is held while the cancellation travels, so that the step under way is all that it may still do."""
    for _ in range(20):  # on a busy machine the answer may be faster than the hand that stops the engine
        stream = daemon.stream({"prompt": "count", "max_new_tokens": 450}, "/chat_stream")
        request_id = next(stream)["request_id"]
        hold(daemon.engine_pid)
        is_cancelled = daemon.post(f"/v1/requests/{request_id}/cancel", {})[0] == 200
        before = daemon.metric("youtu_edge_engine_decode_tokens_total")
        os.kill(daemon.engine_pid, signal.SIGCONT)
        last = list(stream)[-1]
        if is_cancelled:
            break
    assert last["finish_reason"] == "cancelled"
    assert daemon.metric("youtu_edge_engine_decode_tokens_total") - before <= 1
    assert last["usage"]["completion_tokens"] < 450


def test_a_session_longer_than_the_context_goes_on(daemon: Daemon) -> None:
    """512 tokens of context: old turns are dropped, every answer has room, and most turns still find their prefix."""
    dropped, computed = [], []
    for number in range(24):
        status, answer = daemon.post("/chat", {"prompt": f"turn {number}", "session_id": "long", "max_new_tokens": 40})
        assert (status, answer["finish_reason"]) == (200, "length")
        assert answer["usage"]["completion_tokens"] == 40
        usage = answer["usage"]
        dropped.append(answer["dropped_turns"])
        computed.append(usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"])
    assert 0 < dropped[-1] < 24
    changed = sum(later > earlier for earlier, later in itertools.pairwise(dropped))
    assert changed * 2 <= dropped[-1], "turns are dropped several at once"
    assert sum(tokens <= new_tokens("turn 10") + 1 for tokens in computed) >= 24 - changed - 2


def test_thinking_is_refused_by_the_name_that_the_client_used(daemon: Daemon) -> None:
    """The tiny model's template does not support thoughts: `thinking: false` is accepted, `true` is rejected."""
    assert daemon.post("/chat", {"prompt": "hello", "max_new_tokens": 2, "thinking": False})[0] == 200
    status, answer = daemon.post("/chat", {"prompt": "hello", "max_new_tokens": 2, "thinking": True})
    assert (status, answer["error"]["param"]) == (400, "thinking")
