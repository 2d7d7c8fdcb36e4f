"""The SQLite file under all that the front keeps: what it survives, and that nobody waits for the disk."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from front.notes_database import SCHEMA, insert, notes, void, with_database
from youtu_edge.errors import StorageError
from youtu_edge.front.database import Database


def test_what_was_written_is_there_after_it_was_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "data" / "notes.db"
    with_database(path, lambda database: database.run(insert("one")))
    with_database(path, lambda database: database.run(insert("two")))
    assert with_database(path, lambda database: database.run(notes)) == ["one", "two"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_migrations_run_once_and_only_the_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with_database(path, lambda database: database.run(insert("old")))
    newer = [*SCHEMA, "ALTER TABLE note ADD COLUMN mood TEXT DEFAULT 'calm'"]

    def moods(connection: sqlite3.Connection) -> list[tuple[str, str]]:
        return connection.execute("SELECT text, mood FROM note").fetchall()

    assert with_database(path, lambda database: database.run(moods), newer) == [("old", "calm")]


def test_work_that_waits_shares_one_commit_in_the_order_of_submission() -> None:
    statements: list[str] = []
    begun, go = threading.Event(), threading.Event()

    async def use(database: Database) -> list[str]:
        def hold(connection: sqlite3.Connection) -> None:
            begun.set()
            go.wait(10)
            connection.set_trace_callback(statements.append)

        holding = database.submit(hold)
        await asyncio.to_thread(begun.wait)
        waiting = [database.submit(insert(str(number))) for number in range(50)]
        await asyncio.sleep(0)  # the loop turns while the thread is busy
        assert not holding.done()
        go.set()
        await asyncio.gather(*waiting)
        return await database.run(notes)

    assert with_database(None, use) == [str(number) for number in range(50)]
    assert statements.count("BEGIN") == 2  # the fifty, and the question


def test_one_failing_piece_of_work_does_not_spoil_its_neighbours() -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO note VALUES ('half')")
        raise LookupError("on purpose")

    async def use(database: Database) -> list[str]:
        first, bad, last = (database.submit(work) for work in (insert("first"), fail, insert("last")))
        await asyncio.gather(first, last)
        with pytest.raises(LookupError, match="on purpose"):
            await bad
        return await database.run(notes)

    assert with_database(None, use) == ["first", "last"]


def test_work_is_done_even_when_the_one_who_waited_is_gone(tmp_path: Path) -> None:
    async def use(database: Database) -> None:
        go = threading.Event()
        holding = database.submit(lambda connection: void(go.wait(10)))
        waiter = asyncio.ensure_future(database.run(insert("kept")))
        await asyncio.sleep(0)
        waiter.cancel()
        go.set()
        await holding

    with_database(tmp_path / "notes.db", use)
    assert with_database(tmp_path / "notes.db", lambda database: database.run(notes)) == ["kept"]


def test_a_second_daemon_on_the_same_file_keeps_its_own_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"

    async def use(first: Database) -> None:
        await first.run(insert("first"))
        second = Database(path, SCHEMA)
        second.start()
        assert await second.run(notes) == []
        assert not second.is_persistent
        await second.close()
        assert await first.run(notes) == ["first"]

    with_database(path, use)


def test_a_full_disk_fails_the_write_and_nothing_else(tmp_path: Path) -> None:
    failures: list[None] = []

    async def use(database: Database) -> list[str]:
        await database.run(insert("before"))
        pages = await database.run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
        await database.run(lambda connection: void(connection.execute(f"PRAGMA max_page_count={pages}")))
        with pytest.raises(StorageError, match="full"):
            await database.run(insert("y" * 50_000))
        assert len(failures) == 1
        await database.run(lambda connection: void(connection.execute("PRAGMA max_page_count=1000000")))
        await database.run(insert("after"))
        return await database.run(notes)

    assert with_database(tmp_path / "notes.db", use, on_failure=lambda: failures.append(None)) == ["before", "after"]


@pytest.mark.parametrize(("synchronous", "level"), [("full", 2), ("normal", 1)])
def test_the_file_is_written_as_the_contract_says(tmp_path: Path, synchronous: str, level: int) -> None:
    """WAL, and with "full" an fsync a commit: a power cut takes nothing back that was told to be done."""

    def pragmas(connection: sqlite3.Connection) -> list[Any]:
        return [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "locking_mode")
        ]

    found = with_database(tmp_path / "notes.db", lambda database: database.run(pragmas), synchronous=synchronous)
    assert found == ["wal", level, "exclusive"]
