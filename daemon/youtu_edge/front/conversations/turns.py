"""The turns of conversations in the database, each with its place among the others (turn_tree)."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Sequence
from typing import Any

import msgspec

from youtu_edge.front.conversations.turn_tree import TurnTree
from youtu_edge.request_errors import NotFoundError

_COLUMNS = (
    "number, user, assistant, thinking, tokens, asked, answered, request, dropped_turns, finish_reason, completion_tokens,"
    " seconds, tokens_per_second, cut_text"
)


class Turn(msgspec.Struct, kw_only=True):
    """One exchange. `tokens` are the ids of the whole answer as the engine drew them; empty if they are not known."""

    user: str
    assistant: str
    thinking: str = ""
    tokens: list[int] = []
    asked: int = 0
    """Unix time in seconds, as is `answered`."""
    answered: int = 0
    number: int = 0
    """0: not stored yet."""
    request: str = ""
    """Id of the request that made it."""
    dropped_turns: int = 0
    """Turns at the beginning of its path that the model did not see."""
    finish_reason: str = ""
    """Empty: not known, as for imported turns."""
    completion_tokens: int = 0
    seconds: float = 0
    """From the question to the end of the answer; 0: not known."""
    tokens_per_second: float = 0
    """After the first token; 0: not known."""
    cut_text: str = ""
    """The text of `tokens`, thinking included, of an answer that its limit cut off: what is needed to continue it."""
    branches: list[int] = []
    """This turn and the others that follow the same one."""

    @property
    def is_to_be_continued(self) -> bool:
        """Whether the answer can be continued where its limit cut it off."""
        return bool(self.cut_text and self.tokens)


def read(connection: sqlite3.Connection, conversation: int, tree: TurnTree, path: Sequence[int]) -> list[Turn]:
    """The turns of a path, oldest first."""
    if not path:
        return []
    wanted = set(path)
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM turn WHERE conversation = ? AND number BETWEEN ? AND ? ORDER BY number",
        (conversation, path[0], path[-1]),
    )
    turns = [_turn(row) for row in rows if row[0] in wanted]
    for turn in turns:
        turn.branches = tree.branches(turn.number)
    return turns


def by_request(connection: sqlite3.Connection, request: str) -> Turn | None:
    """The turn that a request made."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM turn WHERE request = ?", (request,)).fetchone()
    return _turn(row) if row else None


def insert(connection: sqlite3.Connection, conversation: int, turn: Turn, parent: int | None, now: int) -> int:
    """Add a turn after `parent`; returns its number."""
    return int(
        connection.execute(
            "INSERT INTO turn (conversation, parent, asked, answered, user, assistant, thinking, tokens, request,"
            " dropped_turns, finish_reason, completion_tokens, seconds, tokens_per_second, cut_text)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
            (conversation, parent, turn.asked, now, turn.user, *_answer(turn)),
        ).fetchone()[0]
    )


def replace_answer(connection: sqlite3.Connection, turn: Turn, now: int) -> None:
    """Store the answer of a turn again, after it was continued."""
    connection.execute(
        "UPDATE turn SET answered = ?, assistant = ?, thinking = ?, tokens = ?, request = ?, dropped_turns = ?,"
        " finish_reason = ?, completion_tokens = ?, seconds = ?, tokens_per_second = ?, cut_text = ? WHERE number = ?",
        (now, *_answer(turn), turn.number),
    )


def delete(connection: sqlite3.Connection, conversation: int, turn: int) -> int | None:
    """Delete one turn; those after it follow the one before it. Returns the end of the path that is left to show."""
    tree = TurnTree.of(connection, conversation)
    if turn not in tree:
        raise no_turn(turn)
    parent, depth = tree.parent(turn), len(tree.path(turn)) - 1
    connection.execute("UPDATE turn SET parent = ? WHERE parent = ? AND conversation = ?", (parent, turn, conversation))
    connection.executemany(
        "UPDATE turn SET dropped_turns = dropped_turns - 1 WHERE number = ? AND dropped_turns > ?",
        [(below, depth) for below in tree.below(turn)],
    )
    connection.execute("DELETE FROM turn WHERE number = ?", (turn,))
    return TurnTree.of(connection, conversation).latest_end(parent)


def no_turn(turn: int, param: str = "turn") -> NotFoundError:
    """The error for a number that no turn of the session has."""
    return NotFoundError(f"{param}: the session has no turn {turn}", param=param, name=str(turn))


def _answer(turn: Turn) -> tuple[object, ...]:
    return (
        turn.assistant,
        turn.thinking,
        array("I", turn.tokens).tobytes(),
        turn.request,
        turn.dropped_turns,
        turn.finish_reason,
        turn.completion_tokens,
        turn.seconds,
        turn.tokens_per_second,
        turn.cut_text,
    )


def _turn(row: tuple[Any, ...]) -> Turn:
    fields = dict(zip(_COLUMNS.split(", "), row, strict=True))
    return Turn(**fields | {"tokens": array("I", fields["tokens"]).tolist()})
