"""The life of the front process: bind the port, serve, supervise, drain, exit with a meaningful code."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aiohttp import web

from youtu_edge.errors import EXIT_OK, EngineGaveUpError
from youtu_edge.front.admission.served_model import CurrentModel
from youtu_edge.front.announcer import Announcer
from youtu_edge.front.http.site import Site
from youtu_edge.front.http.tls import Tls
from youtu_edge.front.reload import Reloader
from youtu_edge.front.shutdown import Drain, StopSignal
from youtu_edge.front.storage import Storage
from youtu_edge.front.supervision.supervisor import Supervisor
from youtu_edge.log import line
from youtu_edge.process_limits import described_limits

log = logging.getLogger(__name__)

_LAST_ANSWERS_S = 1.0
"""After giving up: time for the last answers to reach their clients."""

_UPKEEP_END_S = 1.0
"""At the end: time to take back what was announced in the network."""


class Service:
    """One daemon. `run` returns the exit code or raises a YoutuEdgeError that carries it."""

    def __init__(
        self,
        *,
        app: web.Application,
        site: Site,
        tls: Tls,
        supervisor: Supervisor,
        model: CurrentModel,
        storage: Storage,
        reloader: Reloader,
        announcer: Announcer,
        drain: Drain,
        upkeep: Sequence[Callable[[], Coroutine[Any, Any, None]]],
    ) -> None:
        """`upkeep`: tasks that run as long as the daemon serves."""
        self.app = app
        self._site = site
        self._tls = tls
        self._supervisor = supervisor
        self._model = model
        self._storage = storage
        self._reloader = reloader
        self._announcer = announcer
        self._drain = drain
        self._upkeep = upkeep
        self._stop = StopSignal()

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT.

        Raises PortInUseError, AddressMissingError, DataInUseError, ConfigError, EngineGaveUpError or EngineFatalError.
        """
        self._site.bind()
        self._storage.claim()
        loop = asyncio.get_running_loop()
        self._stop.install(loop)
        if self._reloader.can_reload and not os.isatty(0):  # in a terminal SIGHUP means that it was closed
            loop.add_signal_handler(signal.SIGHUP, self._reload)
        await self._storage.open()
        # A client that disconnects cancels its handler, and the handler cancels its request.
        runner = web.AppRunner(self.app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        assert runner.server is not None
        # What exists now lives as long as the daemon: frozen, it saves each later collection tens of milliseconds.
        gc.collect()
        gc.freeze()
        # A body of 2 MB can decode to half a million objects; collections every 700 triple the time that takes.
        gc.set_threshold(10_000)
        tasks = [asyncio.ensure_future(work()) for work in self._upkeep]
        opening = asyncio.ensure_future(self._site.open(runner.server, lambda: self._model.value is not None))
        try:
            return await self._supervise(opening)
        finally:
            for task in (*tasks, opening):
                task.cancel()
            self._site.close()
            await asyncio.wait(tasks, timeout=_UPKEEP_END_S)
            await runner.cleanup()
            await self._storage.close()

    async def _supervise(self, opening: asyncio.Future[None]) -> int:
        """Run until the supervisor gives up, a stop signal arrives, or `opening` fails."""
        engine = asyncio.ensure_future(self._supervisor.run())
        stopping = asyncio.ensure_future(self._stop.wait())
        waiting: set[asyncio.Future[Any]] = {engine, stopping, opening}
        try:
            while not engine.done() and not stopping.done():
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if opening in waiting and opening.done():
                    opening.result()
                    waiting.discard(opening)
            if engine.done():
                await self._engine_ended(engine)
            self._announcer.draining()
            await self._drain.announce(self._reloader.config.service.drain_delay_s, self._stop, engine)
            drain_s = self._reloader.config.service.drain_s
            self._drain.begin(drain_s)
            await self._drain.run(drain_s, self._stop, engine)
            await self._supervisor.stop()
            log.info(line("stopped"))
            return EXIT_OK
        finally:
            for task in (engine, stopping):
                task.cancel()
            await asyncio.gather(engine, stopping, return_exceptions=True)

    async def _engine_ended(self, engine: asyncio.Future[None]) -> None:
        """Raises the error of the supervisor, once the last answers are sent."""
        error = engine.exception()
        await asyncio.sleep(_LAST_ANSWERS_S if isinstance(error, EngineGaveUpError) else 0.1)
        if isinstance(error, EngineGaveUpError) and self._model.value is None and (limits := described_limits()):
            raise EngineGaveUpError(f"{error.message}; it never became ready, and {limits}") from None
        engine.result()

    def _reload(self) -> None:
        self._announcer.reloading()
        self._reloader.reload()
        self._tls.reload()
        self._announcer.reloaded()
