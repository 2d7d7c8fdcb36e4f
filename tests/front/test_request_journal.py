"""Which requests are kept, and for how long."""

from __future__ import annotations

import sqlite3

from youtu_edge.front.durable.journal import MIGRATIONS, EntrySummary, JournalEntry, Limits, RequestJournal
from youtu_edge.protocol.from_engine import Failed
from youtu_edge.protocol.to_engine import SamplingParams, Submit

HOUR_S = 3600.0


class Journal:
    """On a database of its own; `restart` begins another life of the daemon, whose clock starts at zero."""

    def __init__(self, max_bytes: int = 10_000_000) -> None:
        self.limits = Limits(max_bytes, max_age_hours=72)
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.execute("PRAGMA foreign_keys=ON")
        for script in MIGRATIONS:
            self.connection.executescript(script)
        self.restart()

    def restart(self) -> list[str]:
        """The requests that are kept."""
        self.now = 0.0
        self.journal = RequestJournal(self.limits, monotonic=lambda: self.now)
        return [summary.id for summary in self.journal.summaries(self.connection)]

    def add(self, name: str, body: bytes = b"{}") -> list[str]:
        """What had to be forgotten."""
        summary = EntrySummary(id=name, key=None, owner="", path="/chat", created=0, digest=b"")
        submit = Submit(id=name, sampling=SamplingParams(), max_new_tokens=4)
        return self.journal.add(self.connection, JournalEntry(summary=summary, body=body, submit=submit, model=""))

    def end(self, name: str) -> None:
        self.journal.append(self.connection, name, 0, [Failed(name, "x", "")])


def test_an_ended_request_is_kept_for_its_hours_of_service() -> None:
    kept = Journal()
    kept.add("a")
    kept.now += 100 * HOUR_S
    kept.end("a")
    kept.now += 71 * HOUR_S
    assert kept.add("b") == []
    kept.now += 2 * HOUR_S
    assert kept.add("c") == ["a"]
    kept.now += 1000 * HOUR_S
    assert kept.restart() == ["b", "c"], "what is unfinished is never forgotten"


def test_time_that_nobody_served_makes_nothing_older() -> None:
    """Whatever the time of day says meanwhile; requests that ended in another life age with this one."""
    kept = Journal()
    kept.add("a")
    kept.end("a")
    kept.now += 50 * HOUR_S
    kept.add("b")
    kept.end("b")
    assert kept.restart() == ["a", "b"]
    kept.now += 30 * HOUR_S
    assert kept.add("c") == ["a"]


def test_beyond_the_size_the_oldest_ended_requests_go() -> None:
    kept = Journal(max_bytes=300_000)
    for name in "abc":
        kept.add(name, b"x" * 100_000)
    kept.end("b")
    assert kept.add("d", b"x" * 100_000) == ["b"]
