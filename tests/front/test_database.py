"""The SQLite file under all that the front keeps: what it survives, and that nobody waits for the disk."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from youtu_edge.errors import StorageError
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


def _garbage(path: Path) -> None:
    path.write_bytes(b"this was never a database" * 100)


def _overwritten_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)


def _cut_short(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 - 100])


@pytest.mark.parametrize("damage", [_garbage, _overwritten_pages, _cut_short])
def test_a_damaged_file_is_set_aside_and_a_fresh_one_begun(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "notes.db"
    with_database(path, lambda database: database.run(insert("x" * 100_000)))
    damage(path)
    damaged = path.read_bytes()

    async def use(database: Database) -> list[str]:
        await database.run(insert("new"))
        assert database.is_persistent
        return await database.run(notes)

    assert with_database(path, use) == ["new"]
    assert with_database(path, lambda database: database.run(notes)) == ["new"]
    assert (tmp_path / "notes.db.damaged").read_bytes() == damaged
    assert "database_set_aside file=notes.db moved_to=notes.db.damaged" in caplog.text


def test_damage_that_shows_later_is_one_failure_and_then_a_fresh_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with_database(path, lambda database: database.run(insert("x" * 3_000_000)))
    failures: list[None] = []

    async def use(database: Database) -> list[str]:
        await database.run(lambda connection: None)
        _overwritten_pages(path)
        with pytest.raises(StorageError, match="malformed"):
            await database.run(notes)
        await database.run(insert("after"))
        return await database.run(notes)

    assert with_database(path, use, on_failure=lambda: failures.append(None)) == ["after"]
    assert len(failures) == 1
    assert (tmp_path / "notes.db.damaged").exists()


def test_a_file_of_a_newer_version_is_set_aside_whole(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    newer = [*SCHEMA, "CREATE TABLE future (x)"]
    with_database(path, lambda database: database.run(insert("from the future")), newer)
    assert with_database(path, lambda database: database.run(notes)) == []
    (tmp_path / "notes.db.newer").rename(path)
    assert with_database(path, lambda database: database.run(notes), newer) == ["from the future"]


def test_a_place_that_cannot_be_used_is_replaced_by_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("not a directory")

    async def use(database: Database) -> list[str]:
        await database.run(insert("kept for now"))
        assert not database.is_persistent
        return await database.run(notes)

    for path in (tmp_path / "file" / "notes.db", tmp_path / "missing" / "below" / "notes.db"):
        assert with_database(path, use) == ["kept for now"]
        assert f"database_in_memory file={path}" in caplog.text


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


def _rename(directory: Path) -> None:
    directory.rename(directory.with_name("elsewhere"))


def _replace_file(directory: Path) -> None:
    path = directory / "notes.db"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("remove", [shutil.rmtree, _rename, lambda path: (path / "notes.db").unlink(), _replace_file])
def test_what_goes_to_a_file_that_was_deleted_is_not_told_as_stored(
    tmp_path: Path, remove: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """One failure, whatever the work; then a fresh file, in which everything is kept again."""
    path = tmp_path / "data" / "notes.db"
    failures: list[None] = []

    async def use(database: Database) -> None:
        await database.run(insert("lost"))
        remove(path.parent)
        with pytest.raises(StorageError, match="deleted or moved away"):
            await database.run(insert("not stored"))
        await database.run(insert("stored"))
        assert database.is_persistent

    with_database(path, use, on_failure=lambda: failures.append(None))
    found = with_database(path, lambda database: database.run(notes))
    assert "not stored" not in found
    assert found[-1] == "stored"
    assert len(failures) == 1
    assert "database_failed file=notes.db" in caplog.text


def test_a_file_that_is_deleted_while_the_work_is_done_is_no_success(tmp_path: Path) -> None:
    path = tmp_path / "data" / "notes.db"

    def insert_and_delete(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO note VALUES ('gone')")
        shutil.rmtree(path.parent)

    async def use(database: Database) -> None:
        with pytest.raises(StorageError, match="deleted or moved away"):
            await database.run(insert_and_delete)

    with_database(path, use)


def test_a_log_that_is_deleted_alone_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Even for a daemon that is killed afterwards: a copy of the files at that moment has everything."""
    path, copy = tmp_path / "notes.db", tmp_path / "copy"

    async def use(database: Database) -> None:
        await database.run(insert("first"))
        (tmp_path / "notes.db-wal").unlink()
        await database.run(insert("second"))
        copy.mkdir()
        for name in ("notes.db", "notes.db-wal"):
            shutil.copy(tmp_path / name, copy)

    with_database(path, use)
    assert with_database(copy / "notes.db", lambda database: database.run(notes)) == ["first", "second"]
    assert "database_log_lost file=notes.db-wal" in caplog.text
