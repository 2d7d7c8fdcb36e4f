"""Conversations on the device: their turns, and which are evicted.

A turn (question and answer) is one row, written in one transaction with everything that it changes, so that no crash can
leave half of one. The order of use is a counter, because the clock jumps on boards without a battery.
"""

from __future__ import annotations

import sqlite3
import time
from array import array
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from youtu_edge.front.database import bytes_used, size_limit
from youtu_edge.request_errors import NotFoundError

MIGRATIONS = (
    """
    CREATE TABLE conversation (
        number INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        id TEXT NOT NULL,
        title TEXT NOT NULL,
        system TEXT NOT NULL,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        used INTEGER NOT NULL UNIQUE,
        dropped_turns INTEGER NOT NULL DEFAULT 0,
        UNIQUE (owner, id)
    );
    CREATE TABLE turn (
        number INTEGER PRIMARY KEY,
        conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
        asked INTEGER NOT NULL,
        answered INTEGER NOT NULL,
        user TEXT NOT NULL,
        assistant TEXT NOT NULL,
        thinking TEXT NOT NULL,
        tokens BLOB NOT NULL
    );
    CREATE INDEX turns_of_conversation ON turn (conversation, number);
    """,
)

_TITLE_CHARACTERS = 60
_DAY_S = 86400
_CLOCK_IS_SET = 1_735_689_600
"""2025-01-01, older than this program: an earlier time comes from a board whose clock was not set, and gives no age."""


class Name(NamedTuple):
    """Identifies a conversation: the API key that owns it ("" without keys), and its id. No key sees another's."""

    owner: str
    id: str


class Turn(msgspec.Struct, kw_only=True):
    """One exchange. `tokens` are the ids of the whole answer as the engine drew them; empty if they cannot be reused."""

    user: str
    assistant: str
    thinking: str = ""
    tokens: list[int] = []
    asked: int = 0
    """Unix time in seconds, as is `answered`."""
    answered: int = 0


class Summary(msgspec.Struct, kw_only=True):
    """A conversation without its text."""

    id: str
    title: str
    created: int
    updated: int
    turns: int


class Conversation(msgspec.Struct, kw_only=True):
    """A conversation with its turns, or with those that the model still sees: all but the first `dropped_turns`."""

    summary: Summary
    system: str
    dropped_turns: int
    turns: list[Turn]


class Limits(msgspec.Struct, frozen=True):
    """When conversations are evicted, least recently used first."""

    max_bytes: int
    max_age_days: int = 0
    """0: never."""


class ConversationStore:
    """Work for a `Database` with MIGRATIONS; every method takes its connection first.

    `wall` and `monotonic` are clocks in seconds.
    """

    def __init__(
        self, limits: Limits, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._wall = wall
        self._monotonic = monotonic
        self._start = wall(), monotonic()

    def find(self, connection: sqlite3.Connection, name: Name, *, only_seen: bool = False) -> Conversation | None:
        """The conversation, with all turns or only those that the model still sees; None when there is none of that id."""
        self._expire(connection)
        row = connection.execute(
            "SELECT number, title, created, updated, system, dropped_turns,"
            " (SELECT count(*) FROM turn WHERE conversation = conversation.number)"
            " FROM conversation WHERE owner = ? AND id = ?",
            name,
        ).fetchone()
        if row is None:
            return None
        number, title, created, updated, system, dropped_turns, num_turns = row
        turns = [
            Turn(user=user, assistant=assistant, thinking=thinking, tokens=_ids(tokens), asked=asked, answered=answered)
            for user, assistant, thinking, tokens, asked, answered in connection.execute(
                "SELECT user, assistant, thinking, tokens, asked, answered FROM turn WHERE conversation = ? ORDER BY number"
                " LIMIT -1 OFFSET ?",
                (number, dropped_turns if only_seen else 0),
            )
        ]
        summary = Summary(id=name.id, title=title, created=created, updated=updated, turns=num_turns)
        return Conversation(summary=summary, system=system, dropped_turns=dropped_turns, turns=turns)

    def page(self, connection: sqlite3.Connection, owner: str, limit: int, before: str | None) -> list[Summary]:
        """At most `limit` conversations of an owner, last used first; `before`: only those used before this one."""
        self._expire(connection)
        bound = 2**63 - 1
        if before is not None:
            number = _number(connection, Name(owner, before))
            bound = connection.execute("SELECT used FROM conversation WHERE number = ?", (number,)).fetchone()[0]
        rows = connection.execute(
            "SELECT id, title, created, updated, (SELECT count(*) FROM turn WHERE conversation = conversation.number)"
            " FROM conversation WHERE owner = ? AND used < ? ORDER BY used DESC LIMIT ?",
            (owner, bound, limit),
        )
        return [
            Summary(id=found, title=title, created=created, updated=updated, turns=turns)
            for found, title, created, updated, turns in rows
        ]

    def append(
        self, connection: sqlite3.Connection, name: Name, turn: Turn, *, system: str | None, dropped_turns: int
    ) -> None:
        """Add a turn, creating the conversation if there is none, then evict what exceeds the limits.

        `system` None: unchanged.
        """
        now = int(self._wall())
        used = connection.execute("SELECT coalesce(max(used), 0) + 1 FROM conversation").fetchone()[0]
        connection.execute(
            "INSERT INTO conversation (owner, id, title, system, created, updated, used) VALUES (?, ?, ?, '', ?, ?, 0)"
            " ON CONFLICT (owner, id) DO NOTHING",
            (*name, title_of(turn.user), turn.asked, now),
        )
        connection.execute(
            "UPDATE conversation SET system = coalesce(?, system), dropped_turns = ?, updated = ?, used = ?"
            " WHERE owner = ? AND id = ?",
            (system, dropped_turns, now, used, *name),
        )
        number = _number(connection, name)
        connection.execute(
            "INSERT INTO turn (conversation, asked, answered, user, assistant, thinking, tokens)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (number, turn.asked, now, turn.user, turn.assistant, turn.thinking, array("I", turn.tokens).tobytes()),
        )
        self._expire(connection)
        self._shrink(connection, number)

    def truncate_answer(self, connection: sqlite3.Connection, name: Name, characters: int) -> str:
        """Keep the first `characters` of the last answer, and return what is kept. Raises NotFoundError."""
        row = connection.execute(
            "SELECT max(number), assistant FROM turn WHERE conversation = ?", (_number(connection, name),)
        ).fetchone()
        if row[0] is None:
            raise NotFoundError(f"session {name.id} has no answer yet")
        kept = str(row[1])[:characters]
        connection.execute("UPDATE turn SET assistant = ? WHERE number = ?", (kept, row[0]))
        return kept

    def change(self, connection: sqlite3.Connection, name: Name, *, title: str | None, system: str | None) -> None:
        """Set what is not None. Raises NotFoundError."""
        connection.execute(
            "UPDATE conversation SET title = coalesce(?, title), system = coalesce(?, system) WHERE number = ?",
            (title, system, _number(connection, name)),
        )

    def clear(self, connection: sqlite3.Connection, name: Name) -> None:
        """Delete the turns; title and system prompt stay. Raises NotFoundError."""
        number = _number(connection, name)
        connection.execute("DELETE FROM turn WHERE conversation = ?", (number,))
        connection.execute("UPDATE conversation SET dropped_turns = 0 WHERE number = ?", (number,))

    def delete(self, connection: sqlite3.Connection, name: Name) -> None:
        """Delete the conversation. Raises NotFoundError."""
        connection.execute("DELETE FROM conversation WHERE number = ?", (_number(connection, name),))

    def _expire(self, connection: sqlite3.Connection) -> None:
        if not self._limits.max_age_days:
            return
        # A clock that jumped ahead since the start (the network set it late) must not age anything.
        wall, monotonic = self._start
        now = min(self._wall(), wall + self._monotonic() - monotonic)
        before = now - self._limits.max_age_days * _DAY_S
        connection.execute("DELETE FROM conversation WHERE updated < ? AND updated >= ?", (before, _CLOCK_IS_SET))

    def _shrink(self, connection: sqlite3.Connection, current: int) -> None:
        """Delete the least recently used conversations, then the oldest turns of the current one."""
        while bytes_used(connection) > size_limit(connection, self._limits.max_bytes):
            oldest = connection.execute(
                "SELECT number FROM conversation WHERE number != ? ORDER BY used LIMIT 1", (current,)
            ).fetchone()
            if oldest is not None:
                connection.execute("DELETE FROM conversation WHERE number = ?", oldest)
                continue
            first, last = connection.execute(
                "SELECT min(number), max(number) FROM turn WHERE conversation = ?", (current,)
            ).fetchone()
            if first == last:
                return
            connection.execute("DELETE FROM turn WHERE number = ?", (first,))
            connection.execute(
                "UPDATE conversation SET dropped_turns = max(dropped_turns - 1, 0) WHERE number = ?", (current,)
            )


def title_of(prompt: str) -> str:
    """The beginning of the first question, on one line."""
    text = " ".join(prompt.split())
    return text if len(text) <= _TITLE_CHARACTERS else text[: _TITLE_CHARACTERS - 1] + "…"


def _number(connection: sqlite3.Connection, name: Name) -> int:
    row = connection.execute("SELECT number FROM conversation WHERE owner = ? AND id = ?", name).fetchone()
    if row is None:
        raise NotFoundError(f"no session {name.id[:100]!r}", param="session_id", name=name.id)
    return int(row[0])


def _ids(blob: bytes) -> list[int]:
    return array("I", blob).tolist()
