"""A database with one table of notes, and work on it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from youtu_edge.front.database import Database

SCHEMA = ["CREATE TABLE note (text TEXT)"]


def insert(text: str) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: void(connection.execute("INSERT INTO note VALUES (?)", (text,)))


def void(_: object) -> None:
    return None


def notes(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY rowid")]


def with_database(
    path: Path | None, use: Callable[[Database], Awaitable[Any]], migrations: list[str] = SCHEMA, **options: Any
) -> Any:
    """What `use` returns for a database that is closed afterwards."""

    async def main() -> Any:
        database = Database(path, migrations, **options)
        database.start()
        try:
            return await use(database)
        finally:
            await database.close()

    return asyncio.run(main())
