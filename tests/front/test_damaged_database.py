"""A database whose file is damaged, too new, deleted, moved away, or in a place that cannot be used."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from front.notes_database import SCHEMA, insert, notes, with_database
from youtu_edge.errors import StorageError
from youtu_edge.front.database import Database


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
