"""The deployment of boards: a replica is a daemon, and relays requests to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from youtu_edge_ray.daemon import Daemon
from youtu_edge_ray.messages import Away, Destination, Head, Headers, Relayed, end_to_end
from youtu_edge_ray.name import BoardName

_SERVES_OWN = ("date", "server")
_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=2)
"""An answer that is not streamed is silent until it is complete."""


class Board:
    """A replica. Serve calls `check_health`, `record_…` and `__del__` by these names."""

    # Serve awaits it.
    async def __init__(  # type: ignore[misc]
        self, command: Sequence[str], storage: str, boards_per_node: int, start_s: float
    ) -> None:
        """Until the daemon is ready: `command` runs it, `start_s` is its deadline."""
        name = await asyncio.to_thread(BoardName, Path(storage), boards_per_node, start_s)
        self._name = name.name
        self._daemon = Daemon(command, name.name, name.directory, name.lock)
        await self._daemon.start(start_s)
        self._client = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=_NO_LIMIT,
        )

    async def check_health(self) -> None:
        """Serve replaces a replica that raises. A busy or hot daemon does not: its cache and its streams would be lost."""
        if not await self._daemon.answers(self._client):
            raise RuntimeError(f"the daemon of board {self._name} does not answer")

    def record_replica_metadata(self) -> dict[str, Any]:
        """For the router: the board's name."""
        return {"board": self._name}

    async def record_routing_stats(self) -> dict[str, Any]:
        """For the router: whether the board should be given requests."""
        return {"ready": await self._daemon.is_ready(self._client)}

    async def relay(self, request: Relayed, *, destination: Destination) -> AsyncIterator[Head | Away | bytes]:
        """The daemon's answer: its head, then its body as it comes. `destination` is for the router alone.

        When the client disconnects, Serve cancels this; the connection is closed, and the daemon cancels its request.
        """
        del destination
        is_begun = False
        try:
            async with self._client.request(
                request.method,
                URL(self._daemon.url + request.path, encoded=True),
                headers=request.headers,
                data=request.body or None,
                allow_redirects=False,
            ) as answer:
                is_begun = True
                yield Head(answer.status, _headers(answer))
                async for piece in answer.content.iter_any():
                    yield piece
        except aiohttp.ClientError as error:
            if is_begun:
                raise
            yield Away(self._name, is_sent=not isinstance(error, aiohttp.ClientConnectorError))

    async def __del__(self) -> None:
        await self._daemon.stop()
        await self._client.close()


def _headers(answer: aiohttp.ClientResponse) -> Headers:
    """Those for the client. Serve adds its own date."""
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in answer.raw_headers]
    return [(name, value) for name, value in end_to_end(headers) if name not in _SERVES_OWN]
