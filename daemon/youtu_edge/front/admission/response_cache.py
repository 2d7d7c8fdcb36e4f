"""A cache of whole answers on the device.

Only reproducible answers are cached: those of greedy requests, and of requests with the client's seed. The key hashes
everything that the answer depends on: the model package, how it is loaded, and the request. A hit reaches the request
table as the engine's own messages would, so that every dialect, streamed or not, is served alike.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable

import msgspec

from youtu_edge.config import Config
from youtu_edge.encoding import msgpack_bytes
from youtu_edge.errors import StorageError
from youtu_edge.front.database import Database, bytes_used, size_limit
from youtu_edge.front.http.answer_headers import note_cache
from youtu_edge.front.inflight.active_requests import ActiveRequest, ActiveRequests
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.log import line
from youtu_edge.protocol.from_engine import Accepted, Delta, Finished, FinishReason, StepFrame
from youtu_edge.tool_formats import HERMES

log = logging.getLogger(__name__)

FILE = "response-cache.db"
MIGRATIONS = (
    """
    CREATE TABLE answer (
        number INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        created REAL NOT NULL,
        used INTEGER NOT NULL UNIQUE,
        body BLOB NOT NULL
    );
    """,
)

_LOOKUP_S = 0.25
"""Deadline of a lookup: on a slower disk the engine answers instead, often sooner."""


class KeptAnswer(msgspec.Struct, array_like=True):
    """An answer as the engine produced it."""

    text: str
    tokens: list[int]
    reason: FinishReason
    prompt_tokens: int
    in_thought: bool
    stop_text: str | None = None
    tool_format: str = HERMES.name


class ResponseCache:
    """`fingerprint` identifies the loaded package; empty: nothing is looked up or stored.

    `on_lookup(hit)` counts lookups.
    """

    def __init__(
        self,
        config: Config,
        active_requests: ActiveRequests,
        fingerprint: Callable[[], str],
        *,
        on_lookup: Callable[[bool], None],
        on_failure: Callable[[], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._ttl_s = config.response_cache.ttl_s
        self._max_bytes = config.response_cache.max_bytes
        # What the package is loaded with changes answers too: the context's length, how positions are extended …
        self._setting = msgpack_bytes(config.model)
        self._active = active_requests
        self._fingerprint = fingerprint
        self._on_lookup = on_lookup
        self._wall = wall
        directory = config.storage.directory
        # A lost entry is computed again, so no fsync is spent on it.
        self.database = Database.in_directory(directory, FILE, MIGRATIONS, synchronous="normal", on_failure=on_failure)

    def key(self, submit: GenerationRequest) -> bytes | None:
        """What the answer depends on, as a hash; None for requests whose answer is not cached."""
        fingerprint = self._fingerprint()
        sampling = submit.sampling
        if not fingerprint or not submit.is_repeatable or sampling.logprobs is not None:
            return None
        bare = msgspec.structs.replace(
            submit,
            id="",
            priority=0,
            sampling=msgspec.structs.replace(sampling, seed=sampling.seed if sampling.temperature else 0),
            # Token ids of earlier answers add nothing to their text.
            messages=[msgspec.structs.replace(message, tokens=[]) for message in submit.messages or ()],
        )
        return hashlib.sha256(b"\0".join((fingerprint.encode(), self._setting, msgpack_bytes(bare)))).digest()

    async def answer(self, active: ActiveRequest, key: bytes) -> bool:
        """Answer the request from the cache; False on a miss, when the engine has to. Never raises."""
        kept = await self._look_up(key)
        self._on_lookup(kept is not None)
        note_cache(kept is not None)
        active.cache = "MISS" if kept is None else "HIT"
        if kept is None:
            active.cache_key = key
            return False
        name, count = active.submit.id, kept.prompt_tokens
        self._active.apply(Accepted(name, count, kept.in_thought, kept.tool_format))
        finished = Finished(name, kept.reason, count, count, len(kept.tokens), kept.stop_text)
        self._active.apply(StepFrame([Delta(name, kept.tokens, kept.text)], [finished]))
        return True

    def keep(self, active: ActiveRequest) -> None:
        """Store the answer of a request that has just ended, if it was looked up, is complete, and came from one engine.

        The next engine may have loaded another package, or may round a resumed answer differently.
        """
        if active.cache_key is None or active.outcome not in ("stop", "length") or active.resumes:
            return
        submit, key, now = active.submit, active.cache_key, self._wall()
        reason: FinishReason = "stop" if active.outcome == "stop" else "length"
        answer = KeptAnswer(
            submit.sent_text, submit.sent_tokens, reason, active.prompt_tokens, active.in_thought, active.stop_text,
            active.tool_format,
        )  # fmt: skip
        body = msgpack_bytes(answer)

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO answer (key, created, used, body)"
                " VALUES (?, ?, (SELECT coalesce(max(used), 0) + 1 FROM answer), ?)",
                (key, now, body),
            )
            self._shrink(connection, now)

        self.database.submit(insert)

    def shed(self) -> None:
        """Free the database's page cache; the answers themselves are on the disk."""

        def shrink(connection: sqlite3.Connection) -> None:
            connection.execute("PRAGMA shrink_memory")

        self.database.submit(shrink).add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _look_up(self, key: bytes) -> KeptAnswer | None:
        now = self._wall()

        def find(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute("SELECT number, created, body FROM answer WHERE key = ?", (key,)).fetchone()
            if row is None or not 0 <= now - row[1] <= self._ttl_s:  # future: the clock went back
                return None
            connection.execute("UPDATE answer SET used = (SELECT max(used) + 1 FROM answer) WHERE number = ?", (row[0],))
            return bytes(row[2])

        try:
            async with asyncio.timeout(_LOOKUP_S):
                body = await self.database.run(find)
            return None if body is None else msgspec.msgpack.decode(body, type=KeptAnswer)
        except (TimeoutError, StorageError, msgspec.MsgspecError) as error:
            log.warning(line("response_cache_skipped", reason=str(error) or "the disk is too slow"))
            return None

    def _shrink(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute("DELETE FROM answer WHERE created < ?", (now - self._ttl_s,))
        while bytes_used(connection) > size_limit(connection, self._max_bytes):
            connection.execute("DELETE FROM answer WHERE number = (SELECT number FROM answer ORDER BY used LIMIT 1)")
            if not connection.execute("SELECT count(*) FROM answer").fetchone()[0]:
                return
