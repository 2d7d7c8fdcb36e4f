"""A conversation of `youtu-edge chat`: its messages, and the answers of the daemon, piece by piece."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from youtu_edge.cli.daemon_client import DaemonClient
from youtu_edge.errors import YoutuEdgeError


class Piece(NamedTuple):
    """A part of an answer, or of the thoughts before it."""

    text: str
    is_thought: bool


class Speed(NamedTuple):
    """How fast an answer was generated."""

    tokens: int
    seconds: float
    """From its first piece to its last."""

    def __str__(self) -> str:
        rate = f", {(self.tokens - 1) / self.seconds:.1f} tokens/s" if self.tokens > 1 and self.seconds > 0 else ""
        return f"{self.tokens} token{'' if self.tokens == 1 else 's'}{rate}"


class Conversation:
    """The messages so far, and the daemon that they are sent to."""

    def __init__(self, client: DaemonClient, system: str) -> None:
        self._client = client
        self.system = system
        """The system message; empty: none. A new one holds from the next question."""
        self._turns: list[dict[str, str]] = []
        self.speed: Speed | None = None
        """Of the last answer; None if it is incomplete."""

    @property
    def messages(self) -> list[dict[str, str]]:
        """The system message, if there is one, questions and answers."""
        return [*([{"role": "system", "content": self.system}] if self.system else []), *self._turns]

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been asked."""
        return not self._turns

    def clear(self) -> None:
        """Forget everything but the system message."""
        self._turns = []

    def model_name(self) -> str:
        """The name of the served model."""
        with self._client.request("GET", "/v1/models") as answer:
            models = json.load(answer)["data"]
        return str(models[0]["id"]) if models else "youtu-edge, still loading its model,"

    def ask(self, question: str) -> Iterator[Piece]:
        """The answer, piece by piece; if the caller stops early, what was received stays in the conversation.

        Thoughts are not kept: templates omit those of earlier turns.
        """
        asked = {"role": "user", "content": question}
        body = {
            "messages": [*self.messages, asked],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        received: list[str] = []
        self.speed, first = None, 0.0
        try:
            with self._client.request("POST", "/v1/chat/completions", body) as answer:
                for chunk in _events(answer):
                    if "error" in chunk:
                        raise YoutuEdgeError(chunk["error"]["message"])
                    for piece in _pieces(chunk):
                        first = first or time.monotonic()
                        if not piece.is_thought:
                            received.append(piece.text)
                        yield piece
                    if usage := chunk.get("usage"):
                        self.speed = Speed(usage["completion_tokens"], time.monotonic() - first if first else 0.0)
        finally:
            if received:
                self._turns = [*self._turns, asked, {"role": "assistant", "content": "".join(received)}]


def _pieces(chunk: dict[str, Any]) -> Iterator[Piece]:
    for choice in chunk["choices"]:
        if thought := choice["delta"].get("reasoning_content"):
            yield Piece(thought, is_thought=True)
        if text := choice["delta"].get("content"):
            yield Piece(text, is_thought=False)


def _events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The JSON of every event until [DONE]; comments and empty lines separate them."""
    for raw in answer:
        field, _, data = raw.decode("utf-8").strip().partition(": ")
        if field != "data":
            continue
        if data == "[DONE]":
            return
        yield json.loads(data)
    raise http.client.HTTPException("the connection ended in the middle of the answer")
