"""Requests with very many small objects: refused where no context could hold them; their memory is returned."""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import Any

import pytest

from front.scripted_daemon import running, wait_until
from youtu_edge.front.machine.process_memory import anonymous_bytes

MIB = 1024 * 1024
PARTS = [{"type": "text", "text": f"x{number}"} for number in range(30_000)]
BODY = {"messages": [*({"role": "user", "content": "hi"} for _ in range(9_999)), {"role": "user", "content": PARTS}]}


def test_memory_comes_back_although_connections_were_opened_among_large_requests() -> None:
    """Objects that stay lie between those that go. Python's own allocator would keep 15 MiB here."""
    # As `youtu-edge serve` does.
    with running("memory.return_after_s=0.2", env={"PYTHONMALLOC": "malloc"}) as daemon, contextlib.ExitStack() as stack:
        daemon.wait_ready()
        front = daemon.process.pid
        assert daemon.chat("hi")[0] == 200
        before = anonymous_bytes(front)
        for _ in range(8):
            assert daemon.request("POST", "/v1/chat/completions", BODY)[0] == 200
            idle = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", daemon.port)))
            idle.request("GET", "/livez")
            idle.getresponse().read()
        wait_until(lambda: anonymous_bytes(front) < before + 6 * MIB)


TURNS = [{"role": ("user", "assistant")[number % 2], "content": "x"} for number in range(10_001)]
MANY: dict[str, tuple[dict[str, Any], str]] = {
    "/v1/chat/completions": ({}, "messages"),
    "/v1/messages": ({"model": "default", "max_tokens": 4}, "messages"),
    "/v1/messages/count_tokens": ({"model": "default"}, "messages"),
    "/v1/responses": ({"store": False}, "input"),
    "/api/chat": ({}, "messages"),
    "/tokenize": ({}, "messages"),
    "/apply-template": ({}, "messages"),
}


@pytest.mark.parametrize("path", MANY)
def test_more_messages_than_any_context_holds_are_refused_before_they_are_converted(path: str) -> None:
    """One less is let through: whether the prompt fits is for the engine to say."""
    more, field = MANY[path]
    with running() as daemon:
        daemon.wait_ready()
        status, _, answer = daemon.request("POST", path, {**more, field: TURNS})
        assert (status, f"{field}: expected `array` of length <= 10000" in answer.decode()) == (400, True)
        _, _, answer = daemon.request("POST", path, {**more, field: TURNS[:-1]})
        assert "of length" not in answer.decode()


def test_a_body_nested_as_deeply_as_can_be_is_served_or_refused_and_never_an_error_of_ours() -> None:
    """What could just be decoded could not be encoded again from deeper calls."""
    with running() as daemon:
        daemon.wait_ready()
        statuses = {}
        for depth in range(500, 1000, 5):
            text = json.dumps({"messages": [{"role": "user", "content": "hi"}], "chat_template_kwargs": {"a": 0}})
            body = text.replace('"a": 0', '"a": ' + "[" * depth + "]" * depth).encode()
            statuses[depth] = daemon.request("POST", "/v1/chat/completions", body)[0]
    assert set(statuses.values()) == {200, 400}, statuses
