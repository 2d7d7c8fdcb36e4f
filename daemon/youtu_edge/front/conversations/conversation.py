"""A conversation on the device: its name, what is told about it, its turns."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from youtu_edge.front.conversations.turns import Turn
from youtu_edge.request_errors import NotFoundError

ID_PATTERN = "^[A-Za-z0-9_-]{1,64}(@[a-z0-9-]{1,63})?$"
"""Of ids that clients choose."""
_TITLE_CHARACTERS = 60


class Name(NamedTuple):
    """Identifies a conversation: the API key that owns it ("" without keys), and its id. No key sees another's."""

    owner: str
    id: str


class Place(msgspec.Struct, frozen=True):
    """Where a turn goes: after turn `parent` (0: at the beginning; None: after the one that is shown last), or, with
    `continued`, onto the end of that turn's answer."""

    parent: int | None = None
    continued: int | None = None


AT_THE_END = Place()


class Summary(msgspec.Struct, kw_only=True):
    """A conversation without its text. `turns` counts those of all branches."""

    id: str
    title: str
    created: int
    updated: int
    turns: int
    excerpt: str | UnsetType = UNSET
    """Only in the results of a search: the place where the text was found."""


class Conversation(msgspec.Struct, kw_only=True):
    """A conversation with the turns of one path: all, or those that the model still sees, without `dropped_turns`."""

    summary: Summary
    system: str
    dropped_turns: int
    turns: list[Turn]


def title_of(prompt: str) -> str:
    """The beginning of the first question, on one line."""
    text = " ".join(prompt.split())
    return text if len(text) <= _TITLE_CHARACTERS else text[: _TITLE_CHARACTERS - 1] + "…"


def number_of(connection: sqlite3.Connection, name: Name) -> int:
    """The row of a conversation. Raises NotFoundError."""
    row = connection.execute("SELECT number FROM conversation WHERE owner = ? AND id = ?", name).fetchone()
    if row is None:
        raise NotFoundError(f"no session {name.id[:100]!r}", param="session_id", name=name.id)
    return int(row[0])
