"""One `youtu-edge serve` on a free port of this machine, which ends with the process that started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from youtu_edge_ray.name import VARIABLE

_POLL_S = 0.2
_RAYS_OWN = frozenset(("OMP_NUM_THREADS", "PYTHONPATH"))
"""Variables that are set for Ray's processes."""
_BEHIND_SERVE = {
    "YOUTU_EDGE_SERVICE__HOST": "127.0.0.1",
    "YOUTU_EDGE_SERVICE__PORT": "0",
    "YOUTU_EDGE_SERVICE__EXTRA_PORTS": "[]",
    "YOUTU_EDGE_SERVICE__TLS_CERTIFICATE": "",
    "YOUTU_EDGE_SERVICE__TLS_KEY": "",
    "YOUTU_EDGE_SERVICE__MDNS": "false",
    "YOUTU_EDGE_SERVICE__TRUSTED_PROXIES": "[127.0.0.1]",
}
"""Settings, whatever the configuration file says."""


class Daemon:
    """Its address and life. `start` first."""

    def __init__(self, command: Sequence[str], board: str, directory: Path, lock: int) -> None:
        """`lock`: a descriptor that it inherits, and so keeps locked."""
        self._command = ["setpriv", "--pdeathsig", "TERM", "--", *command]
        self._lock = lock
        inherited = {name: value for name, value in os.environ.items() if name not in _RAYS_OWN}
        own = {VARIABLE: board, "YOUTU_EDGE_STORAGE__DIRECTORY": str(directory)}
        self._environment = inherited | _BEHIND_SERVE | own
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self, deadline_s: float) -> None:
        """Until it is ready. Raises RuntimeError if it ends before that, TimeoutError."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=self._environment,
            pass_fds=(self._lock,),
            start_new_session=True,
        )
        async with asyncio.timeout(deadline_s), aiohttp.ClientSession() as client:
            assert self._process.stdout is not None
            first = (await self._process.stdout.readline()).decode().split()
            self.url = first[-1] if first else ""
            while not await self.is_ready(client):
                if not self.is_alive:
                    raise RuntimeError(
                        f"{' '.join(self._command)} ended with status {self._process.returncode}; see its log"
                    )
                await asyncio.sleep(_POLL_S)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    async def is_ready(self, client: aiohttp.ClientSession) -> bool:
        """Whether a request would be computed at once."""
        return await self._answers(client, "/readyz")

    async def answers(self, client: aiohttp.ClientSession) -> bool:
        """Whether it answers at all, however busy."""
        return self.is_alive and await self._answers(client, "/livez")

    async def _answers(self, client: aiohttp.ClientSession, path: str) -> bool:
        try:
            async with client.get(f"{self.url}{path}", timeout=aiohttp.ClientTimeout(5)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    async def stop(self) -> None:
        """SIGTERM: running requests may finish for `service.drain_s`."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            await self._process.wait()
