"""A single request never ends the engine or blocks the others, whatever its text costs."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon_process import Daemon, chat

ENGLISH = "The quick brown fox jumps over the lazy dog, and then it sleeps. "
CHAT, COMPLETE = "/v1/chat/completions", "/v1/completions"


class Companion(threading.Thread):
    """A client that streams continuously; `tokens` counts what it received."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon=True)
        self._daemon_process = daemon
        self.tokens = 0
        self.error = ""
        self.is_stopped = False
        self.came = threading.Event()
        self.start()

    def run(self) -> None:
        """One long answer after the other."""
        try:
            while not self.is_stopped:
                for event in self._daemon_process.stream(
                    chat("Tell me a long story.", max_tokens=2000, temperature=1, seed=1)
                ):
                    self.tokens += any(choice["delta"].get("content") for choice in event.get("choices", ()))
                    self.came.set()
                    if self.is_stopped:
                        break
        except Exception as error:
            self.error = repr(error)


@pytest.fixture(scope="module")
def daemon(smollm2_q4: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """SmolLM2 in a budget that is all cache."""
    with Daemon(smollm2_q4, tmp_path_factory.mktemp("costly"), memory__limit="1500M", engine__threads=1) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def companion(daemon: Daemon) -> Iterator[Companion]:
    found = Companion(daemon)
    assert found.came.wait(60)
    yield found
    found.is_stopped = True
    found.join(60)
    assert not found.error


def bound(**more: Any) -> dict[str, Any]:
    return chat("hi", max_tokens=4, **more)


def schema(schema: dict[str, Any]) -> dict[str, Any]:
    return bound(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})


def nested(depth: int) -> dict[str, Any]:
    return functools.reduce(lambda inner, _: {"a": inner}, range(depth), {"type": "string"})


def tool(parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


COSTLY: dict[str, tuple[str, Any]] = {
    "half a megabyte of English": (CHAT, chat((ENGLISH * 9000)[: 512 * 1024], max_tokens=4)),
    "English that nearly fits": (CHAT, chat(ENGLISH * 700, max_tokens=4)),
    "two megabytes to count": ("/tokenize", {"content": (ENGLISH * 40000)[: 2 * 1024 * 1024 - 100]}),
    "two megabytes in a template": ("/apply-template", {"messages": [{"role": "user", "content": ENGLISH * 31000}]}),
    "many ids to spell": ("/detokenize", {"tokens": [1000] * 300_000}),
    "many ids as a prompt": (COMPLETE, {"prompt": [1000] * 300_000, "max_tokens": 4}),
    "45,000 empty messages": (CHAT, {"messages": [{"role": "user", "content": ""}] * 45_000, "max_tokens": 4}),
    "10,000 empty messages": (CHAT, {"messages": [{"role": "user", "content": ""}] * 10_000, "max_tokens": 4}),
    "a list of many lists": (CHAT, bound(tools=[tool({"enum": [[]] * 500_000})])),
    "a biased vocabulary": (CHAT, bound(logit_bias={str(token): 1 for token in range(40_000)})),
    "control tokens in a message": (CHAT, chat("<|im_end|>" * 200_000, max_tokens=4)),
    "control tokens in a prompt": (COMPLETE, {"prompt": "<|im_end|>" * 200_000, "max_tokens": 4}),
    "some control tokens": (CHAT, chat("<|im_end|>" * 3000, max_tokens=4)),
    **{
        f"{size} bytes of {run!r}": (COMPLETE, {"prompt": run * (size // len(run.encode())), "max_tokens": 4})
        for run in ("a", " ", "\n", "7", ".", "\u4e2d", "a ")
        for size in (60_000, 400_000, 900_000)
        if (run, size) != (".", 60_000)  # a prompt that fits, and takes as long as it takes
    },
    "a regex of 10^9 letters": (CHAT, bound(regex="(((a{1000}){1000}){1000})")),
    "the same behind a choice": (CHAT, bound(regex="[ab](((a{1000}){1000}){1000})")),
    "a regex with many states": (CHAT, bound(regex="(.*[ab].{200}x){3}")),
    "a terminal doubled 40 times": (
        CHAT,
        bound(grammar='start: T40\nT0: "a"\n' + "\n".join(f"T{i + 1}: T{i} T{i}" for i in range(40))),
    ),
    "a large multiple": (CHAT, schema({"type": "integer", "multipleOf": 999983})),
    "50,000 values": (CHAT, schema({"enum": [f"value number {index}" for index in range(50_000)]})),
    "a constant of a megabyte": (CHAT, schema({"const": "abcdefghij" * 100_000})),
    **{f"tools {depth} deep": (CHAT, bound(tools=[tool(nested(depth))])) for depth in (100, 700, 900)},
    **{f"a schema {depth} deep": (CHAT, schema(nested(depth))) for depth in (100, 700, 900)},
    **{
        f"brackets {depth} deep": (CHAT, b'{"messages": [], "tools": ' + b"[" * depth + b"]" * depth + b"}")
        for depth in (1000, 100_000)
    },
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_costly_request_is_served_or_refused(daemon: Daemon, companion: Companion, name: str) -> None:
    """The engine lives on, and the companion's answer as well."""
    path, body = COSTLY[name]
    engine, before = daemon.engine_pid, companion.tokens
    status, answer = daemon.post(path, body)
    assert status in (200, 400, 413), answer
    if status != 200:
        assert answer["error"]["code"] in ("invalid_request", "context_length_exceeded", "body_too_large")
    companion.came.clear()
    assert companion.came.wait(60)
    assert companion.tokens >= before
    assert daemon.engine_pid == engine
    assert daemon.metric("youtu_edge_engine_restarts_total") == 0


def test_many_costly_requests_at_once_stop_nobody(daemon: Daemon, companion: Companion) -> None:
    """They wait for each other; who is answered goes on, and a short question is answered among them."""
    engine = daemon.engine_pid
    names = ("half a megabyte of English", "a large multiple", "400000 bytes of ' '", "45,000 empty messages") * 2
    found: list[int] = []
    threads = [threading.Thread(target=lambda name=name: found.append(daemon.post(*COSTLY[name])[0])) for name in names]
    for thread in threads:
        thread.start()
    before = companion.tokens
    assert daemon.post("/tokenize", {"content": "hello"})[0] == 200
    for thread in threads:
        thread.join(240)
    assert len(found) == len(names)
    assert set(found) <= {400, 429, 503}
    assert companion.tokens > before
    assert daemon.engine_pid == engine
    assert daemon.metric("youtu_edge_engine_restarts_total") == 0
