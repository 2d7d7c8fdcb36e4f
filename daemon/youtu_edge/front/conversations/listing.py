"""The list of conversations, and the search in them."""

from __future__ import annotations

import sqlite3

from msgspec import UNSET

from youtu_edge.front.conversations.conversation import Name, Summary, number_of

_EXCERPT_CHARACTERS = 30
"""On both sides of what was searched for."""


def page(connection: sqlite3.Connection, owner: str, limit: int, before: str | None, text: str = "") -> list[Summary]:
    """At most `limit` conversations of an owner, last used first; `before`: only those used before this one; `text`:
    only those in which it occurs, whatever the case of ASCII letters."""
    bound = 2**63 - 1
    if before is not None:
        number = number_of(connection, Name(owner, before))
        bound = connection.execute("SELECT used FROM conversation WHERE number = ?", (number,)).fetchone()[0]
    pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    rows = connection.execute(
        "SELECT number, id, title, created, updated, (SELECT count(*) FROM turn WHERE conversation = conversation.number)"
        " FROM conversation WHERE owner = :owner AND used < :bound AND (:pattern = '%%' OR title LIKE :pattern ESCAPE '\\'"
        " OR EXISTS (SELECT 1 FROM turn WHERE conversation = conversation.number"
        " AND (user LIKE :pattern ESCAPE '\\' OR assistant LIKE :pattern ESCAPE '\\'))) ORDER BY used DESC LIMIT :limit",
        {"owner": owner, "bound": bound, "pattern": pattern, "limit": limit},
    ).fetchall()
    return [
        Summary(
            id=found, title=title, created=created, updated=updated, turns=count,
            excerpt=_excerpt(connection, number, pattern, text) if text else UNSET,
        )
        for number, found, title, created, updated, count in rows
    ]  # fmt: skip


def _excerpt(connection: sqlite3.Connection, conversation: int, pattern: str, text: str) -> str:
    """The place in the newest turn in which the text occurs; empty if it is only in the title."""
    row = connection.execute(
        "SELECT user, assistant FROM turn WHERE conversation = ?"
        " AND (user LIKE ? ESCAPE '\\' OR assistant LIKE ? ESCAPE '\\') ORDER BY number DESC LIMIT 1",
        (conversation, pattern, pattern),
    ).fetchone()
    for said in row or ():
        at = said.lower().find(text.lower())
        if at >= 0:
            start, end = max(0, at - _EXCERPT_CHARACTERS), at + len(text) + _EXCERPT_CHARACTERS
            return ("…" if start else "") + " ".join(said[start:end].split()) + ("…" if end < len(said) else "")
    return ""
