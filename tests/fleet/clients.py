"""Clients of a fleet: streams, whole answers, large prompts, durable requests and sessions, and what becomes of them."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LARGE = "large " * 20_000
"""A prompt of 120 KB."""
BOARD = "X-Youtu-Edge-Board"
_PATIENCE_S, _PAUSE_S = 120.0, 0.2
"""Of a client whose conversation is on a board that is away, and between two attempts."""


class CutError(Exception):
    """A stream ended before its end; `board` had begun it."""

    def __init__(self, board: str, text: str) -> None:
        super().__init__(board)
        self.board = board
        self.text = text


class Clients:
    """The requests of all clients together. `failures`: those that failed before the first byte of an answer."""

    def __init__(self, port: int, timeout_s: float = 60) -> None:
        """`timeout_s`: without a byte."""
        self._port = port
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self.failures: list[str] = []
        self.cut: Counter[str] = Counter()
        """Streams cut, by board."""
        self.elsewhere: Counter[str] = Counter()
        """Turns of sessions that could not be served because their board was away, by board."""
        self.served: Counter[str] = Counter()
        """Requests by the board that answered."""
        self.kinds: Counter[str] = Counter()
        self.done = 0

    @contextmanager
    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """The response, whose status has been read. Raises OSError and HTTPException."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers or {})
            answer = connection.getresponse()
            with self._lock:
                self.served[answer.headers.get(BOARD, "none")] += 1
            yield answer
        finally:
            connection.close()

    def one(self, kind: str, number: int) -> None:
        """A request of this kind, with all that its client does until it has its answer."""
        try:
            getattr(self, kind)(number)
        except CutError as cut:
            self._count(self.cut, cut.board)
        except (OSError, http.client.HTTPException, AssertionError) as error:
            with self._lock:
                self.failures.append(f"{kind} {number}: {error!r}")
        self._count(self.kinds, kind)
        with self._lock:
            self.done += 1

    def whole(self, number: int) -> None:
        """An answer that is not streamed."""
        with self.ask("POST", "/chat", {"prompt": f"slow {number}"}) as answer:
            assert answer.status == 200, answer.read()
            assert json.loads(answer.read())["response"] == f"slow {number}"

    def large(self, number: int) -> None:
        """A large prompt with a short answer."""
        with self.ask("POST", "/chat", {"prompt": f"{number} {LARGE}", "max_new_tokens": 8}) as answer:
            assert answer.status == 200, answer.read()
            assert json.loads(answer.read())["response"] == f"{number} {LARGE}"[:8]

    def stream(self, number: int) -> None:
        """A streamed answer."""
        text = f"slow {number} repeat:6"
        assert self._streamed(text, {}) == text * 6

    def durable(self, number: int) -> None:
        """A durable request, repeated with its key until the client has the whole answer."""
        text = f"slow durable {number} repeat:3"
        for _ in range(20):
            try:
                assert self._streamed(text, {"Idempotency-Key": f"key-{number}"}) == text * 3
                return
            except CutError as cut:
                self._count(self.cut, cut.board)
        raise AssertionError("the answer was cut 20 times")

    def _streamed(self, text: str, headers: dict[str, str]) -> str:
        """The text of a whole stream. Raises CutError, having made sure that what came is the beginning of `text`."""
        with self.ask("POST", "/chat_stream", {"prompt": text}, headers) as answer:
            assert answer.status == 200, answer.read()
            pieces = []
            try:
                for line in answer:
                    if not line.startswith(b"data: "):
                        continue
                    event = json.loads(line[6:])
                    assert "error" not in event, event
                    pieces.append(event.get("text", ""))
                    if event.get("done"):
                        return "".join(pieces)
            except (OSError, http.client.HTTPException):
                pass
            raise CutError(answer.headers[BOARD], "".join(pieces))

    def _count(self, counter: Counter[str], name: str) -> None:
        with self._lock:
            counter[name] += 1


class Session:
    """A conversation of one client, which sends back the name of the board that keeps it."""

    def __init__(self, clients: Clients, name: str) -> None:
        self._clients = clients
        with clients.ask("GET", "/livez") as answer:
            self.board = answer.headers[BOARD]
        self.id = f"{name}@{self.board}"
        self.prompts: list[str] = []

    def turn(self, prompt: str) -> None:
        """The next turn; while the board is away its client waits."""
        end = time.monotonic() + _PATIENCE_S
        while not self._is_answered(prompt):
            assert time.monotonic() < end, f"board {self.board} did not come back"
            time.sleep(_PAUSE_S)
        self.prompts.append(prompt)

    def _is_answered(self, prompt: str) -> bool:
        body = {"prompt": prompt, "session_id": self.id}
        with self._clients.ask("POST", "/chat", body, {BOARD: self.board}) as answer:
            document = json.loads(answer.read())
            if answer.status == 404 and document["error"]["code"] == "elsewhere":
                self._clients._count(self._clients.elsewhere, self.board)
                return False
            assert answer.status == 200, document
            assert answer.headers[BOARD] == self.board
            return True

    def kept(self) -> list[str]:
        """What the board has kept, found by the id in the path alone; a turn that was asked again is in it once."""
        with self._clients.ask("GET", f"/v1/sessions/{self.id}") as answer:
            assert answer.status == 200, answer.read()
            messages = json.loads(answer.read())["messages"]
        asked = [message["content"] for message in messages if message["role"] == "user"]
        return [prompt for prompt, _ in itertools.groupby(asked)]
