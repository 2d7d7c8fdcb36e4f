"""Conversations on the device: what they hold, and which are evicted.

A turn (question and answer) is one row, written in one transaction with everything that it changes, so that no crash can
leave half of one. The order of use is a counter, because the clock jumps on boards without a battery.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

import msgspec

from youtu_edge.front.conversations import listing, turns
from youtu_edge.front.conversations.conversation import (
    AT_THE_END,
    Conversation,
    Name,
    Place,
    Summary,
    number_of,
    title_of,
)
from youtu_edge.front.conversations.turn_tree import TurnTree
from youtu_edge.front.conversations.turns import Turn
from youtu_edge.front.database import bytes_used, size_limit
from youtu_edge.request_errors import InvalidRequestError, NotFoundError

_DAY_S = 86400
_CLOCK_IS_SET = 1_735_689_600
"""2025-01-01, older than this program: an earlier time comes from a board whose clock was not set, and gives no age."""


class Limits(msgspec.Struct, frozen=True):
    """When conversations are evicted, least recently used first."""

    max_bytes: int
    max_age_days: int = 0
    """0: never."""


class ConversationStore:
    """Work for a `Database` with MIGRATIONS (schema); every method takes its connection first.

    `wall` and `monotonic` are clocks in seconds.
    """

    def __init__(
        self, limits: Limits, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._wall = wall
        self._monotonic = monotonic
        self._start = wall(), monotonic()

    def find(
        self, connection: sqlite3.Connection, name: Name, *, only_seen: bool = False, place: Place = AT_THE_END
    ) -> Conversation | None:
        """The conversation with the turns up to a place, all or only those that the model still sees; a turn to be
        continued is the last one. None when there is no conversation of that id. Raises NotFoundError naming the turn.
        """
        self._expire(connection)
        row = connection.execute(
            "SELECT number, title, created, updated, system, head,"
            " (SELECT count(*) FROM turn WHERE conversation = conversation.number)"
            " FROM conversation WHERE owner = ? AND id = ?",
            name,
        ).fetchone()
        if row is None:
            return None
        number, title, created, updated, system, head, num_turns = row
        tree = TurnTree.of(connection, number)
        path = turns.read(connection, number, tree, tree.path(_end(tree, place, head)))
        dropped = min(path[-1].dropped_turns, len(path) - 1) if path else 0
        summary = Summary(id=name.id, title=title, created=created, updated=updated, turns=num_turns)
        seen = path[dropped:] if only_seen else path
        return Conversation(summary=summary, system=system, dropped_turns=dropped, turns=seen)

    def page(
        self, connection: sqlite3.Connection, owner: str, limit: int, before: str | None, text: str = ""
    ) -> list[Summary]:
        """See `listing.page`."""
        self._expire(connection)
        return listing.page(connection, owner, limit, before, text)

    def append(
        self,
        connection: sqlite3.Connection,
        name: Name,
        turn: Turn,
        *,
        system: str | None,
        place: Place = AT_THE_END,
    ) -> int:
        """Add a turn, creating the conversation if there is none, or put it in place of the shorter one that it continues;
        then evict what exceeds the limits. Returns its number.

        `system` None: unchanged.
        """
        now = int(self._wall())
        number = self._touch(connection, name, title_of(turn.user), turn.asked, system)
        tree = TurnTree.of(connection, number)
        if place.continued is not None and place.continued in tree:
            turn.number = place.continued
            turns.replace_answer(connection, turn, now)
        else:
            (head,) = connection.execute("SELECT head FROM conversation WHERE number = ?", (number,)).fetchone()
            parent = _parent(tree, place.parent, head)
            turn.number = turns.insert(connection, number, turn, parent, now)
        connection.execute("UPDATE conversation SET head = ? WHERE number = ?", (turn.number, number))
        connection.execute("DELETE FROM unfinished_turn WHERE request = ?", (turn.request,))
        self._expire(connection)
        self._shrink(connection, number)
        return turn.number

    def add(self, connection: sqlite3.Connection, name: Name, title: str, system: str, said: Sequence[Turn]) -> None:
        """Store a whole conversation that was kept elsewhere, called after its first question unless it has a title.

        Raises InvalidRequestError when there is one of that id.
        """
        if connection.execute("SELECT 1 FROM conversation WHERE owner = ? AND id = ?", name).fetchone():
            raise InvalidRequestError(f"session {name.id!r} exists; import it under another id", param="session_id")
        now = int(self._wall())
        number = self._touch(connection, name, title or title_of(said[0].user), said[0].asked or now, system)
        head = None
        for turn in said:
            head = turns.insert(connection, number, turn, head, turn.answered or now)
        connection.execute("UPDATE conversation SET head = ? WHERE number = ?", (head, number))
        self._shrink(connection, number)

    def _touch(self, connection: sqlite3.Connection, name: Name, title: str, created: int, system: str | None) -> int:
        """Make the conversation the one that was used last, creating it if there is none; returns its number."""
        now = int(self._wall())
        used = connection.execute("SELECT coalesce(max(used), 0) + 1 FROM conversation").fetchone()[0]
        connection.execute(
            "INSERT INTO conversation (owner, id, title, system, created, updated, used) VALUES (?, ?, ?, '', ?, ?, 0)"
            " ON CONFLICT (owner, id) DO NOTHING",
            (*name, title, created, now),
        )
        connection.execute(
            "UPDATE conversation SET system = coalesce(?, system), updated = ?, used = ? WHERE owner = ? AND id = ?",
            (system, now, used, *name),
        )
        return number_of(connection, name)

    def truncate_answer(self, connection: sqlite3.Connection, name: Name, characters: int) -> str:
        """Keep the first `characters` of the last answer, and return what is kept. Raises NotFoundError."""
        row = connection.execute(
            "SELECT turn.number, assistant FROM turn JOIN conversation ON turn.number = head WHERE conversation.number = ?",
            (number_of(connection, name),),
        ).fetchone()
        if row is None:
            raise NotFoundError(f"session {name.id} has no answer yet")
        kept = str(row[1])[:characters]
        connection.execute("UPDATE turn SET assistant = ?, cut_text = '' WHERE number = ?", (kept, row[0]))
        return kept

    def change(
        self,
        connection: sqlite3.Connection,
        name: Name,
        *,
        title: str | None = None,
        system: str | None = None,
        turn: int | None = None,
    ) -> None:
        """Set what is not None; `turn`: the branch that is shown goes through it. Raises NotFoundError."""
        number = number_of(connection, name)
        head = None
        if turn is not None:
            tree = TurnTree.of(connection, number)
            if turn not in tree:
                raise turns.no_turn(turn)
            head = tree.latest_end(turn)
        connection.execute(
            "UPDATE conversation SET title = coalesce(?, title), system = coalesce(?, system), head = coalesce(?, head)"
            " WHERE number = ?",
            (title, system, head, number),
        )

    def delete_turn(self, connection: sqlite3.Connection, name: Name, turn: int) -> None:
        """Delete one question with its answer. Raises NotFoundError."""
        number = number_of(connection, name)
        head = turns.delete(connection, number, turn)
        connection.execute(
            "UPDATE conversation SET head = ? WHERE number = ? AND (head = ? OR head IS NULL)", (head, number, turn)
        )

    def clear(self, connection: sqlite3.Connection, name: Name) -> None:
        """Delete the turns; title and system prompt stay. Raises NotFoundError."""
        number = number_of(connection, name)
        connection.execute("DELETE FROM turn WHERE conversation = ?", (number,))
        connection.execute("UPDATE conversation SET head = NULL WHERE number = ?", (number,))

    def delete(self, connection: sqlite3.Connection, name: Name) -> None:
        """Delete the conversation. Raises NotFoundError."""
        connection.execute("DELETE FROM conversation WHERE number = ?", (number_of(connection, name),))

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
            turns.delete(connection, current, first)


def _end(tree: TurnTree, place: Place, head: int | None) -> int | None:
    """The last turn of the path up to a place. Raises NotFoundError."""
    if place.continued is None:
        return _parent(tree, place.parent, head, is_required=True)
    if place.continued not in tree:
        raise turns.no_turn(place.continued, "continue_turn")
    return place.continued


def _parent(tree: TurnTree, parent: int | None, head: int | None, *, is_required: bool = False) -> int | None:
    """The turn that comes before a new one; one that was deleted meanwhile is left out unless it `is_required`."""
    if parent is None:
        return head
    if parent and parent not in tree:
        if is_required:
            raise turns.no_turn(parent, "parent_turn")
        return head
    return parent or None
