"""Queries that the engine answers between steps, and who waits for them.

An engine that dies leaves its queries open; the next one gets them again, since a query changes nothing. A query that
engines die of is found as a request is: see supervision.poison.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

from youtu_edge.errors import OverloadedError, YoutuEdgeError
from youtu_edge.front.inflight.failure import failure
from youtu_edge.front.inflight.work import Departed, Work, digest_of
from youtu_edge.protocol.from_engine import Failed, FromEngine, Reply
from youtu_edge.protocol.to_engine import Query, TokenizerQuery


class ActiveQuery:
    """One query until its answer; wait for `reply`."""

    def __init__(self, message: Query, digest: bytes) -> None:
        self.message = message
        self.work = Work(digest, 0)
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    @property
    def is_answered(self) -> bool:
        """Whether the engine, or somebody in its place, has said something."""
        return self.reply.done() and not self.reply.cancelled()


class TokenizerQueries:
    """All open queries; more than `max_open` are refused."""

    def __init__(self, max_open: int) -> None:
        self.max_open = max_open
        self._open: dict[str, ActiveQuery] = {}
        self._departed = Departed()
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._open)

    def open(self, query: TokenizerQuery, digest: bytes | None = None) -> ActiveQuery:
        """Register a query that is about to be sent; `digest` where it is known already. Raises OverloadedError."""
        if len(self._open) >= self.max_open:
            raise OverloadedError(f"{self.max_open} tokenizer queries are unanswered (service.max_queue); try again later")
        entry = ActiveQuery(Query(f"query-{next(self._numbers)}", query), digest or digest_of(query))
        self._open[entry.message.id] = entry
        return entry

    def close(self, entry: ActiveQuery) -> None:
        """Nobody waits any more; a later answer is dropped."""
        if self._open.pop(entry.message.id, None):
            self._departed.note(entry.message.id, entry.work)

    def apply(self, message: FromEngine) -> bool:
        """Take over an answer; False when the message is not for this table."""
        if not isinstance(message, Reply | Failed) or not message.id.startswith("query-"):
            return False
        self._departed.forget(message.id)
        if entry := self._open.pop(message.id, None):
            if isinstance(message, Reply):
                _settle(entry, message)
            else:
                _settle(entry, failure(message, {}))
        return True

    def __iter__(self) -> Iterator[ActiveQuery]:
        """Oldest first."""
        return iter(list(self._open.values()))

    def works(self) -> dict[str, Work]:
        """Everything that is unanswered, by id."""
        return {name: entry.work for name, entry in self._open.items()}

    def work_of(self, ask_id: str) -> Work | None:
        """What the running engine may be working on under that id, also when the client has left."""
        entry = self._open.get(ask_id)
        return entry.work if entry else self._departed.find(ask_id)

    def engine_starts(self) -> None:
        """What the former engine was working on is over."""
        self._departed.clear()

    def fail_same(self, digest: bytes, error: YoutuEdgeError) -> None:
        """End every query for this with an error."""
        for entry in self:
            if entry.work.digest == digest:
                self._fail(entry, error)

    def fail_all(self, error: YoutuEdgeError) -> None:
        """No engine will answer any more."""
        for entry in self:
            self._fail(entry, error)

    def _fail(self, entry: ActiveQuery, error: YoutuEdgeError) -> None:
        self.close(entry)
        _settle(entry, error)


def _settle(entry: ActiveQuery, result: Reply | YoutuEdgeError) -> None:
    if entry.reply.done():  # its handler was cancelled a moment ago
        return
    if isinstance(result, Reply):
        entry.reply.set_result(result)
    else:
        entry.reply.set_exception(result)
