"""Records in the journal which resumed requests the engine is working on, for the next start.

    working {a} ── a +1 ──> working {a, b} ── b +1 ──> token of a: a = 0 ──> the machine dies: b keeps its 1

A request that keeps its note over several starts is what kills them. A start that dies before its engine works on a
request, or while it works on something else, is not counted against that request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection


class WorkNotes:
    """`write(begun, over)` adds the notes of some requests and removes those of others; one call at a time."""

    def __init__(self, write: Callable[[set[str], set[str]], Awaitable[object]]) -> None:
        self._write = write
        self._open: set[str] = set()
        self._working: set[str] = set()
        self._noted: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def watch(self, request_id: str) -> None:
        """Watch a request that was resumed and has gained no token yet."""
        self._open.add(request_id)

    def settle(self, request_id: str) -> bool:
        """It gained a token or ended: drop its note; returns whether it had one."""
        self._open.discard(request_id)
        had_one = request_id in self._noted
        self._noted.discard(request_id)
        return had_one

    def working(self, ids: Collection[str]) -> None:
        """From now on the engine works on these, and on nothing else."""
        self._working = set(ids)
        if self._task is None and self._wanted() != self._noted:
            self._task = asyncio.create_task(self._catch_up())

    def _wanted(self) -> set[str]:
        return self._working & self._open

    async def _catch_up(self) -> None:
        try:
            while (wanted := self._wanted()) != self._noted:
                begun, over = wanted - self._noted, self._noted - wanted
                self._noted = wanted
                await self._write(begun, over)
        finally:
            self._task = None
