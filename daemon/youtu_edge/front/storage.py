"""Everything that the daemon keeps on the device: opened, resumed and closed together."""

from __future__ import annotations

from youtu_edge.front.admission.response_cache import ResponseCache
from youtu_edge.front.conversations.conversations import Conversations
from youtu_edge.front.conversations.durable_turns import DurableTurns
from youtu_edge.front.data_directory import DataDirectory
from youtu_edge.front.dialects.responses.archive import ResponseArchive
from youtu_edge.front.dialects.responses.background import BackgroundResponses
from youtu_edge.front.durable.durable_requests import DurableRequests
from youtu_edge.front.keys.key_usage import KeyUsage


class Storage:
    """`cache` is None without a response cache."""

    def __init__(
        self,
        directory: DataDirectory,
        conversations: Conversations,
        durable_turns: DurableTurns,
        durable: DurableRequests,
        archive: ResponseArchive,
        background: BackgroundResponses,
        key_usage: KeyUsage,
        cache: ResponseCache | None,
    ) -> None:
        self._directory = directory
        self._conversations = conversations
        self._durable_turns = durable_turns
        self._durable = durable
        self._archive = archive
        self._background = background
        self._key_usage = key_usage
        self._cache = cache

    def claim(self) -> None:
        """Raises DataInUseError when another daemon uses the directory."""
        self._directory.claim()

    async def open(self) -> None:
        """Open all files and resume the unfinished requests of the last run."""
        self._conversations.database.start()
        if self._cache:
            self._cache.database.start()
        self._durable.database.start()
        await self._durable_turns.load()
        await self._durable.resume(self._durable_turns.reopened)
        await self._durable_turns.resume()
        await self._background.resume()
        self._archive.database.start()

    async def close(self) -> None:
        """Finish pending writes, then close all files."""
        await self._background.close()
        await self._durable_turns.close()
        await self._durable.close()
        await self._conversations.database.close()
        if self._cache:
            await self._cache.database.close()
        await self._archive.database.close()
        self._key_usage.save()
