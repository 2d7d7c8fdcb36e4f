"""Questions that the engine answers between steps, and who waits for them. Knows no HTTP and no process.

An engine that dies leaves its questions open; the next one is asked again, since asking changes nothing.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

from youtu_edge.errors import InternalError, OverloadedError, YoutuEdgeError
from youtu_edge.front.http.error_body import failure
from youtu_edge.protocol import Ask, Failed, FromEngine, Question, Reply

_MAX_TIMES = 2
"""A question that was open in so many deaths is not asked again: it may be what kills them."""


class OpenQuestion:
    """One question until its answer; wait for `reply`."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.times_asked = 1
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()


class QuestionTable:
    """All open questions; more than `max_open` are refused."""

    def __init__(self, max_open: int) -> None:
        self._max_open = max_open
        self._open: dict[str, OpenQuestion] = {}
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._open)

    def open(self, question: Question) -> OpenQuestion:
        """Register a question that is about to be asked. Raises OverloadedError."""
        if len(self._open) >= self._max_open:
            raise OverloadedError(f"{self._max_open} questions are unanswered (service.max_queue); try again later")
        entry = OpenQuestion(Ask(f"ask-{next(self._numbers)}", question))
        self._open[entry.ask.id] = entry
        return entry

    def close(self, entry: OpenQuestion) -> None:
        """Nobody waits any more; a later answer is dropped."""
        self._open.pop(entry.ask.id, None)

    def apply(self, message: FromEngine) -> bool:
        """Take over an answer; False when the message is not for this table."""
        if not isinstance(message, Reply | Failed) or not message.id.startswith("ask-"):
            return False
        if entry := self._open.pop(message.id, None):
            if isinstance(message, Reply):
                _settle(entry, message)
            else:
                _settle(entry, failure(message))
        return True

    def again(self) -> Iterator[Ask]:
        """Questions for a new engine, oldest first; those that met too many deaths fail instead."""
        for entry in list(self._open.values()):
            if entry.times_asked >= _MAX_TIMES:
                self.close(entry)
                _settle(entry, InternalError("the engine died twice over this; it is not tried again"))
            else:
                entry.times_asked += 1
                yield entry.ask

    def fail_all(self, error: YoutuEdgeError) -> None:
        """No engine will answer any more."""
        for entry in list(self._open.values()):
            self.close(entry)
            _settle(entry, error)


def _settle(entry: OpenQuestion, result: Reply | YoutuEdgeError) -> None:
    if entry.reply.done():  # its handler was cancelled a moment ago
        return
    if isinstance(result, Reply):
        entry.reply.set_result(result)
    else:
        entry.reply.set_exception(result)
