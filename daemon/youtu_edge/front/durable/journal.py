"""The journal of durable requests and of the engine's events about them.

A request is one row, written before any response to it; each of its events is one row, written before a client sees it. So
the journal has everything that a client has seen, and a restarted daemon can finish the rest.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from youtu_edge.encoding import msgpack_bytes
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.from_engine import Accepted, Delta, Failed, Finished

MIGRATIONS = (
    """
    CREATE TABLE request (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        key TEXT UNIQUE,
        owner TEXT NOT NULL,
        path TEXT NOT NULL,
        created INTEGER NOT NULL,
        digest BLOB NOT NULL,
        body BLOB NOT NULL,
        submit BLOB NOT NULL,
        model TEXT NOT NULL,
        fruitless_starts INTEGER NOT NULL DEFAULT 0,
        ended INTEGER
    );
    CREATE TABLE event (
        request INTEGER NOT NULL REFERENCES request ON DELETE CASCADE,
        number INTEGER NOT NULL,
        kind TEXT NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (request, number)
    ) WITHOUT ROWID;
    """,
)

_MAX_REQUESTS = 10_000
"""The front holds a summary of each in memory."""

Event = Accepted | Delta | Finished | Failed
_KINDS: dict[str, type[Event]] = {"accepted": Accepted, "delta": Delta, "finished": Finished, "failed": Failed}


class EntrySummary(msgspec.Struct, kw_only=True):
    """What the front holds in memory of every request: enough to recognise it."""

    id: str
    key: str | None
    """The client's name for it: caller, path and Idempotency-Key; None if it is found by id only."""
    owner: str
    """Name of the API key; "" without keys."""
    path: str
    created: int
    """Unix time in seconds."""
    digest: bytes
    """sha256 of the body."""
    is_ended: bool = False


class JournalEntry(msgspec.Struct, kw_only=True):
    """One request as received."""

    summary: EntrySummary
    body: bytes
    submit: GenerationRequest
    """As submitted to the first engine."""
    model: str
    """Checksum of the package that began the answer; another model must not continue it."""
    fruitless_starts: int = 0
    """Starts of the daemon since its last token that died while the engine was working on it."""


class Limits(msgspec.Struct, frozen=True):
    """When ended requests are evicted, oldest first. Unfinished ones never are."""

    max_bytes: int
    max_age_hours: int
    """Hours of service since the end."""


class RequestJournal:
    """Work for a `Database` with MIGRATIONS; every method takes its connection first.

    The column `ended` is in seconds of service (`_served`), because the time of day jumps by years on a board without a
    battery, and would evict answers that no client has read yet.
    """

    def __init__(self, limits: Limits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._served_before: float | None = None

    def summaries(self, connection: sqlite3.Connection) -> list[EntrySummary]:
        """Every stored request, oldest first."""
        self._forget(connection)
        rows = connection.execute(
            "SELECT id, key, owner, path, created, digest, ended IS NOT NULL FROM request ORDER BY number"
        )
        return [
            EntrySummary(id=name, key=key, owner=owner, path=path, created=created, digest=digest, is_ended=bool(ended))
            for name, key, owner, path, created, digest, ended in rows
        ]

    def entry(self, connection: sqlite3.Connection, summary: EntrySummary) -> JournalEntry | None:
        """The whole entry; None if it was evicted."""
        row = connection.execute(
            "SELECT body, submit, model, fruitless_starts FROM request WHERE id = ?", (summary.id,)
        ).fetchone()
        if row is None:
            return None
        body, submit, model, starts = row
        submitted = msgspec.msgpack.decode(submit, type=GenerationRequest)
        return JournalEntry(summary=summary, body=body, submit=submitted, model=model, fruitless_starts=starts)

    def events(self, connection: sqlite3.Connection, request_id: str) -> list[Event]:
        """All events of a request, in order."""
        rows = connection.execute(
            "SELECT kind, data FROM event WHERE request = (SELECT number FROM request WHERE id = ?) ORDER BY number",
            (request_id,),
        )
        return [msgspec.msgpack.decode(data, type=_KINDS[kind]) for kind, data in rows]

    def add(self, connection: sqlite3.Connection, entry: JournalEntry) -> list[str]:
        """Insert a new request. Returns the ids of those that were evicted."""
        forgotten = self._forget(connection)
        summary = entry.summary
        connection.execute(
            "INSERT INTO request (id, key, owner, path, created, digest, body, submit, model)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                summary.id, summary.key, summary.owner, summary.path, summary.created, summary.digest, entry.body,
                msgpack_bytes(entry.submit), entry.model,
            ),
        )  # fmt: skip
        return forgotten

    def append(self, connection: sqlite3.Connection, request_id: str, first: int, events: Sequence[Event]) -> None:
        """Append events number `first`, `first` + 1 … of a request; Finished and Failed end it."""
        (number,) = connection.execute("SELECT number FROM request WHERE id = ?", (request_id,)).fetchone()
        for index, event in enumerate(events, first):
            kind = next(name for name, of_kind in _KINDS.items() if isinstance(event, of_kind))
            data = msgpack_bytes(event)
            connection.execute("INSERT INTO event VALUES (?, ?, ?, ?)", (number, index, kind, data))
            if isinstance(event, Delta):
                connection.execute("UPDATE request SET fruitless_starts = 0 WHERE number = ?", (number,))
            elif isinstance(event, Finished | Failed):
                connection.execute("UPDATE request SET ended = ? WHERE number = ?", (self._served(connection), number))

    def note_work(self, connection: sqlite3.Connection, begun: Iterable[str], over: Iterable[str]) -> None:
        """Count this start as fruitless for requests in `begun`; take that back for those in `over`, which it survived."""
        for ids, change in (begun, 1), (over, -1):
            connection.executemany(
                "UPDATE request SET fruitless_starts = max(0, fruitless_starts + ?) WHERE id = ?",
                [(change, request_id) for request_id in ids],
            )

    def _served(self, connection: sqlite3.Connection) -> int:
        """Seconds of service with this file; of a previous daemon, only those until its last request ended."""
        if self._served_before is None:
            (last,) = connection.execute("SELECT coalesce(max(ended), 0) FROM request").fetchone()
            self._served_before = last - self._monotonic()
        return int(self._served_before + self._monotonic())

    def _forget(self, connection: sqlite3.Connection) -> list[str]:
        before = self._served(connection) - self._limits.max_age_hours * 3600
        forgotten = [row[0] for row in connection.execute("SELECT id FROM request WHERE ended < ?", (before,))]
        connection.execute("DELETE FROM request WHERE ended < ?", (before,))
        while _bytes_used(connection) > self._limits.max_bytes or _count(connection) > _MAX_REQUESTS:
            row = connection.execute("SELECT id FROM request WHERE ended IS NOT NULL ORDER BY number LIMIT 1").fetchone()
            if row is None:
                break
            connection.execute("DELETE FROM request WHERE id = ?", row)
            forgotten.append(row[0])
        return forgotten


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM request").fetchone()[0])


def _bytes_used(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
