"""Queries that the engine answers between steps, and the futures of their replies.

Queries stay open when an engine dies and are sent to the next one, since they have no side effects. A query that kills
engines is found as a request is: see supervision.poison.
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
    """One open query; await `reply`."""

    def __init__(self, message: Query, digest: bytes) -> None:
        self.message = message
        self.work = Work(digest, 0)
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    @property
    def is_answered(self) -> bool:
        """Whether it has a reply or an error."""
        return self.reply.done() and not self.reply.cancelled()


class TokenizerQueries:
    """All open queries; more than `max_open` are rejected."""

    def __init__(self, max_open: int) -> None:
        self.max_open = max_open
        self._open: dict[str, ActiveQuery] = {}
        self._departed = Departed()
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._open)

    def open(self, query: TokenizerQuery, digest: bytes | None = None) -> ActiveQuery:
        """Register a query that is about to be sent; `digest` if it was computed before. Raises OverloadedError."""
        if len(self._open) >= self.max_open:
            raise OverloadedError(f"{self.max_open} tokenizer queries are unanswered (service.max_queue); try again later")
        entry = ActiveQuery(Query(f"query-{next(self._numbers)}", query), digest or digest_of(query))
        self._open[entry.message.id] = entry
        return entry

    def close(self, entry: ActiveQuery) -> None:
        """Stop waiting for it; a later reply is dropped."""
        if self._open.pop(entry.message.id, None):
            self._departed.note(entry.message.id, entry.work)

    def apply(self, message: FromEngine) -> bool:
        """Apply a reply; False when the message is not for this table."""
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

    def work_of(self, query_id: str) -> Work | None:
        """What the running engine may be working on under that id, even if the client has left."""
        entry = self._open.get(query_id)
        return entry.work if entry else self._departed.find(query_id)

    def engine_starts(self) -> None:
        """Forget departed work: the engine that may have been working on it is gone."""
        self._departed.clear()

    def fail_same(self, digest: bytes, error: YoutuEdgeError) -> None:
        """Fail every query with this digest."""
        for entry in self:
            if entry.work.digest == digest:
                self._fail(entry, error)

    def fail_all(self, error: YoutuEdgeError) -> None:
        """Fail every open query."""
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
