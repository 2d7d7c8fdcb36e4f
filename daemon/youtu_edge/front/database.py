"""One SQLite file, and the only thread that touches it. Callers supply schema and work.

    event loop ── run(work) ──> queue ──> thread: BEGIN, work(connection) … of all that wait, COMMIT ──> result

* The event loop never waits for the disk. Work that queued up while the disk was busy shares one commit.
* Work runs in the order of submission, even if its caller was cancelled.
* WAL with `synchronous` "full": when `run` returns, the transaction survives a power cut. "normal" saves that fsync: the
  file stays consistent, but a power cut may roll back the last transactions. Either survives `kill -9`.
* A damaged file, or one written by a newer version, is renamed (`NAME.damaged`, `NAME.newer`) and replaced by an empty one,
  at startup as well as later. A file that cannot be used at all (no permission, disk full, locked) is replaced by memory.
  Writes to a file that was deleted or moved away while open would be lost: the current work fails, and an empty file is
  created. All of this is logged; none of it keeps the daemon from answering.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from youtu_edge.config import Synchronous
from youtu_edge.errors import StorageError
from youtu_edge.file_digest import sync
from youtu_edge.front.database_schema import NewerSchemaError, is_damaged, migrate, prepare
from youtu_edge.log import line

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]
_Job = tuple[Work[Any], "asyncio.Future[Any]"]

_FILES = ("-wal", "-journal", "")
"""Suffixes, in the order in which they are renamed: a leftover log must never be applied to a new file."""
_MAX_BATCH = 64
_MEMORY_BYTES = 4 * 1024 * 1024
_LOCKED_S = 2.0
"""How long another process may hold the file, such as a previous daemon that is exiting."""


class Database:
    """`path` None means in memory. `migrations[n]` leads from `user_version` n to n + 1, and must never be edited.

    `on_failure` is called on the event loop for every piece of work that failed because of the storage.
    """

    def __init__(
        self,
        path: Path | None,
        migrations: Sequence[str],
        *,
        synchronous: Synchronous = "full",
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.is_persistent = path is not None
        """False if nothing survives a restart; final once the first work is done."""
        self._path = path
        self._migrations = migrations
        self._synchronous = synchronous
        self._on_failure = on_failure
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._opened: dict[str, os.stat_result] = {}
        """The open files, by suffix."""
        self._thread = threading.Thread(target=self._serve, name=f"database-{path.stem if path else 'memory'}", daemon=True)

    @classmethod
    def in_directory(
        cls,
        directory: str,
        name: str,
        migrations: Sequence[str],
        *,
        synchronous: Synchronous,
        on_failure: Callable[[], None],
    ) -> Database:
        """The file `name` of a storage directory; in memory when that is ""."""
        path = Path(directory) / name if directory else None
        return cls(path, migrations, synchronous=synchronous, on_failure=on_failure)

    def start(self) -> None:
        """Start the thread, which opens the file and then runs what was submitted before."""
        self._thread.start()

    def submit(self, work: Work[Result]) -> asyncio.Future[Result]:
        """Queue work and return at once; the future holds its result, its own exception, or StorageError.

        If other work in the same transaction fails, work is called again after the rollback: it must have no effects
        outside the database.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._jobs.put((work, future))
        return future

    async def run(self, work: Work[Result]) -> Result:
        """Queue work and wait for it. Raises its exceptions, and StorageError when the storage failed."""
        return await self.submit(work)

    async def close(self) -> None:
        """Finish what is queued, then close the file. Nothing may be submitted afterwards."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    # -- everything below runs in the thread -------------------------------------------------------------------------------

    def _serve(self) -> None:
        self._connection = self._open()
        while True:
            batch: list[_Job] = []
            job = self._jobs.get()
            while job is not None:
                batch.append(job)
                if self._jobs.empty() or len(batch) == _MAX_BATCH:
                    break
                job = self._jobs.get()
            self._run_batch(batch)
            if job is None:
                self._connection.close()
                return

    def _run_batch(self, batch: list[_Job]) -> None:
        if len(batch) > 1:
            try:
                results = self._transaction([work for work, _ in batch])
            except Exception:  # one failure rolls back the whole batch: run each alone
                log.debug(line("database_batch_split", jobs=len(batch)))
            else:
                for (_, future), result in zip(batch, results, strict=True):
                    self._settle(future, result, None)
                return
        for work, future in batch:
            try:
                (result,) = self._transaction([work])
            except sqlite3.Error as error:
                self._settle(future, None, self._failed(error))
            except Exception as error:
                self._settle(future, None, error)
            else:
                self._settle(future, result, None)

    def _transaction(self, works: Sequence[Work[Any]]) -> list[Any]:
        self._check_place()
        connection = self._connection
        assert connection is not None
        connection.execute("BEGIN")
        try:
            results = [work(connection) for work in works]
            connection.execute("COMMIT")
            self._check_place()
        except BaseException:
            if connection.in_transaction:  # on some disk errors SQLite has already rolled back
                connection.execute("ROLLBACK")
            raise
        return results

    def _failed(self, error: sqlite3.Error) -> StorageError:
        name = self._path.name if self._path else "memory"
        log.error(line("database_failed", file=name, reason=str(error)))
        if self._path is not None and isinstance(error, _LostError):
            self._open_again()
        elif self._path is not None and is_damaged(error):
            assert self._connection is not None
            self._connection.close()
            self._set_aside("damaged", str(error))
            self._connection = self._open()
        return StorageError(f"the device could not read or write {name}: {error}")

    def _check_place(self) -> None:
        """Check that the open file is still the one at its path. Raises _LostError if the database is gone.

        If only the log is gone, nothing is lost yet: it is still open, and closing the database checkpoints it.
        """
        if self._path is None:
            return
        if self._is_gone(""):
            raise _LostError("it was deleted or moved away while open; starting with an empty one")
        if self._is_gone("-wal"):
            log.warning(
                line("database_log_lost", file=f"{self._path.name}-wal", effect="its contents are checkpointed now")
            )
            self._open_again()

    def _is_gone(self, suffix: str) -> bool:
        """Whether the open file is no longer the one at its path; the first one seen counts as the open one."""
        try:
            found = os.stat(f"{self._path}{suffix}")
        except (FileNotFoundError, NotADirectoryError):
            return suffix in self._opened
        except OSError:  # unknown; the next access to the database reports the error
            return False
        return not os.path.samestat(self._opened.setdefault(suffix, found), found)

    def _open_again(self) -> None:
        assert self._connection is not None
        self._connection.close()
        self._connection = self._open()

    def _settle(self, future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        def settle() -> None:
            if isinstance(error, StorageError):
                self._on_failure()
            if future.done():  # the caller was cancelled
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
                future.exception()  # marks it as retrieved: nobody may be awaiting it

        try:
            future.get_loop().call_soon_threadsafe(settle)
        except RuntimeError:
            log.debug(line("database_result_unwanted", reason="the event loop is closed"))

    # -- opening -----------------------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        self._opened.clear()
        for _ in range(2):  # the second time after a bad file was set aside
            if self._path is None:
                break
            try:
                return self._connect(self._path)
            except NewerSchemaError as error:
                self._set_aside("newer", str(error))
            except sqlite3.Error as error:
                if not is_damaged(error):
                    self._use_memory(str(error))
                    break
                self._set_aside("damaged", str(error))
            except OSError as error:
                self._use_memory(str(error))
        else:
            self._use_memory("a fresh file is damaged as well")
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA foreign_keys=ON")
        migrate(connection, self._migrations)
        return connection

    def _connect(self, path: Path) -> sqlite3.Connection:
        # Only the last directory is created: a daemon that runs without installation uses memory, and makes no /var/lib/….
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        self._opened[""] = os.fstat(descriptor)
        os.close(descriptor)
        sync(path.parent)
        connection = sqlite3.connect(path, isolation_level=None, timeout=_LOCKED_S, check_same_thread=False)
        try:
            prepare(connection, self._synchronous)
            migrate(connection, self._migrations)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, why: str, reason: str) -> None:
        """Rename the file and its log, overwriting those renamed before: disk space is scarce."""
        assert self._path is not None
        target = self._path.with_name(f"{self._path.name}.{why}")
        try:
            for suffix in _FILES:
                source = Path(f"{self._path}{suffix}")
                if source.exists():
                    source.replace(f"{target}{suffix}")
                elif suffix:
                    Path(f"{target}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            self._use_memory(f"{reason}; renaming it failed: {error}")
            return
        log.error(line("database_set_aside", file=self._path.name, moved_to=target.name, reason=reason))

    def _use_memory(self, reason: str) -> None:
        log.warning(line("database_in_memory", file=str(self._path), reason=reason, kept="until the next restart"))
        self._path = None
        self.is_persistent = False


def bytes_used(connection: sqlite3.Connection) -> int:
    """Bytes of the pages in use, including the changes of this transaction."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def size_limit(connection: sqlite3.Connection, max_bytes: int) -> int:
    """`max_bytes` for a file; much less in memory, so that the front stays small."""
    file = connection.execute("PRAGMA database_list").fetchone()[2]
    return max_bytes if file else min(max_bytes, _MEMORY_BYTES)


class _LostError(sqlite3.OperationalError):
    """The open file is no longer the one at its path."""
