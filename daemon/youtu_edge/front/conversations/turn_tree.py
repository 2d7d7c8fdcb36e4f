"""Which turn of a conversation follows which: a tree, because a question can be edited and an answer be made again.

    1 ── 2 ── 3        turn 2 was asked again as 4 (the same parent, so they are branches of one another);
    └─── 4 ── 5        the head is 5: the path 1, 4, 5 is what is shown and what the model sees

A parent is always older than its children: its number is smaller.
"""

from __future__ import annotations

import sqlite3


class TurnTree:
    """The turns of one conversation by number, without their text."""

    def __init__(self, parents: dict[int, int | None]) -> None:
        """`parents` in ascending order of the turns; None: nothing comes before it."""
        self._parents = parents
        self._children: dict[int | None, list[int]] = {}
        for turn, parent in parents.items():
            self._children.setdefault(parent, []).append(turn)

    @classmethod
    def of(cls, connection: sqlite3.Connection, conversation: int) -> TurnTree:
        """Read from the database."""
        rows = connection.execute("SELECT number, parent FROM turn WHERE conversation = ? ORDER BY number", (conversation,))
        return cls(dict(rows))

    def __contains__(self, turn: int) -> bool:
        return turn in self._parents

    def path(self, turn: int | None) -> list[int]:
        """The turns from the first one to this one; empty for None."""
        path = []
        while turn is not None:
            path.append(turn)
            turn = self._parents[turn]
        return path[::-1]

    def parent(self, turn: int) -> int | None:
        """The turn before it."""
        return self._parents[turn]

    def branches(self, turn: int) -> list[int]:
        """This turn and the others with the same parent, oldest first."""
        return list(self._children[self._parents[turn]])

    def children(self, turn: int) -> list[int]:
        """The turns that follow this one, oldest first."""
        return list(self._children.get(turn, ()))

    def below(self, turn: int) -> list[int]:
        """This turn and all that follow it, whatever their branch."""
        found = [turn]
        for each in found:  # which grows meanwhile
            found += self._children.get(each, ())
        return found

    def latest_end(self, turn: int | None) -> int | None:
        """The end of the path that goes from this turn along the newest branches; from None, the whole conversation's."""
        while after := self._children.get(turn):
            turn = after[-1]
        return turn
