"""Sessions as a client of the plain dialect uses them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from front.scripted_daemon import Daemon


def call(daemon: Daemon, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    status, _, data = daemon.request(method, path, body)
    return status, json.loads(data)


def say(daemon: Daemon, session: str, prompt: str | None = None, **more: Any) -> dict[str, Any]:
    status, answer = call(daemon, "POST", "/chat", {"prompt": prompt, "session_id": session, **more})
    assert status == 200, answer
    assert isinstance(answer, dict)
    return answer


def contents(daemon: Daemon, session: str) -> list[str]:
    status, document = call(daemon, "GET", f"/v1/sessions/{session}")
    assert status == 200, document
    return [message["content"] for message in document["messages"]]


def begin_stream(daemon: Daemon, session: str, prompt: str, texts: int = 3) -> tuple[Iterator[dict[str, Any]], str, str]:
    """A streamed turn of which `texts` pieces have come: the rest, the request's id, and what came."""
    stream = daemon.stream("/chat_stream", {"prompt": prompt, "session_id": session})
    names = next(stream)
    assert names["session_id"] == session
    return stream, names["request_id"], "".join(next(stream)["text"] for _ in range(texts))
