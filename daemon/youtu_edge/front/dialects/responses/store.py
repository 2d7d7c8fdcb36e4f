"""The table of stored responses, each with the conversation that led to it.

A response is stored with its whole conversation, so that one look-up is enough to continue from it, and an earlier one can
be deleted without breaking a later one. The least recently used are evicted first. The order of use is a counter and not
the time, which jumps on boards without a clock.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

MIGRATIONS = (
    """
    CREATE TABLE response (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        used INTEGER NOT NULL UNIQUE,
        bytes INTEGER NOT NULL,
        document BLOB NOT NULL,
        conversation BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX sizes ON response (used, bytes);
    """,
)


class StoredResponse(NamedTuple):
    """`document` is the response as JSON; `conversation` the items before it and its own, as msgpack."""

    document: bytes
    conversation: bytes


class ResponseStore:
    """Work for a `Database` with MIGRATIONS. `owner` is the name of an API key; no key sees another's responses."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def put(self, connection: sqlite3.Connection, owner: str, response_id: str, stored: StoredResponse) -> None:
        """Insert or replace a response, and evict old ones until all fit."""
        size = len(stored.document) + len(stored.conversation)
        connection.execute(
            "INSERT OR REPLACE INTO response (id, owner, used, bytes, document, conversation) VALUES (?, ?, ?, ?, ?, ?)",
            (response_id, owner, _next_use(connection), size, *stored),
        )
        # Summed from the newest: what lies beyond the limit is evicted, but never the one just inserted.
        connection.execute(
            "DELETE FROM response WHERE id IN (SELECT id FROM"
            " (SELECT id, used, sum(bytes) OVER (ORDER BY used DESC) AS total FROM response)"
            " WHERE total > ? AND used < (SELECT max(used) FROM response))",
            (self._max_bytes,),
        )

    def find(self, connection: sqlite3.Connection, owner: str, response_id: str) -> StoredResponse | None:
        """The response, now the most recently used; None when there is none."""
        row = connection.execute(
            "SELECT document, conversation FROM response WHERE id = ? AND owner = ?", (response_id, owner)
        ).fetchone()
        if row is None:
            return None
        connection.execute("UPDATE response SET used = ? WHERE id = ?", (_next_use(connection), response_id))
        return StoredResponse(*row)

    def delete(self, connection: sqlite3.Connection, owner: str, response_id: str) -> bool:
        """Delete a response; False when there was none."""
        deleted = connection.execute("DELETE FROM response WHERE id = ? AND owner = ?", (response_id, owner))
        return deleted.rowcount > 0


def _next_use(connection: sqlite3.Connection) -> int:
    (used,) = connection.execute("SELECT coalesce(max(used), 0) + 1 FROM response").fetchone()
    return int(used)
