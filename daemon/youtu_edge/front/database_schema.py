"""The schema of an SQLite file and its migrations, and files that cannot be used."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from youtu_edge.config import Synchronous


class NewerSchemaError(Exception):
    """A newer version of the daemon wrote the file."""


class DamagedError(sqlite3.DatabaseError):
    """PRAGMA quick_check found damage; sqlite3 itself does not raise for that."""


def prepare(connection: sqlite3.Connection, synchronous: Synchronous) -> None:
    """Set up a connection to a file. Raises DamagedError."""
    # Exclusive: we are the only writer, and WAL needs no shared-memory file, which cannot be created on a full disk.
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous.upper()}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cache_size=-512")
    connection.execute("PRAGMA wal_autocheckpoint=256")
    connection.execute("PRAGMA journal_size_limit=1048576")
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise DamagedError(problem)


def migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Bring the file to the newest schema. Raises NewerSchemaError."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise NewerSchemaError(f"its schema version is {version}; this daemon supports up to {len(migrations)}")
    for number in range(version, len(migrations)):
        # executescript commits what is open first, so the transaction is part of the script.
        connection.executescript(f"BEGIN;{migrations[number]};PRAGMA user_version={number + 1};COMMIT;")


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file itself is corrupt, as opposed to inaccessible."""
    primary = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    return isinstance(error, DamagedError) or primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
