"""The life of the front process: take the port, serve, supervise, drain, leave with a meaningful exit code."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from youtu_edge.board_files import BoardFiles
from youtu_edge.config import Config
from youtu_edge.errors import EXIT_OK, EngineGaveUpError, UnavailableError, YoutuEdgeError
from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.admission.intake import Intake, ServedModel
from youtu_edge.front.admission.response_cache import ResponseCache
from youtu_edge.front.admission.sampling import read_recommendation
from youtu_edge.front.conversations.conversations import Conversations
from youtu_edge.front.conversations.routes import SessionHandlers
from youtu_edge.front.data_directory import DataDirectory
from youtu_edge.front.dialects.anthropic.routes import MessageHandlers
from youtu_edge.front.dialects.openai.chat import ChatHandlers
from youtu_edge.front.dialects.openai.completions import CompletionHandlers
from youtu_edge.front.dialects.openai.tokens import TokenHandlers
from youtu_edge.front.dialects.plain.routes import PlainHandlers
from youtu_edge.front.dialects.responses.archive import ResponseArchive
from youtu_edge.front.dialects.responses.background import BackgroundResponses
from youtu_edge.front.dialects.responses.routes import ResponseHandlers
from youtu_edge.front.dialects.responses.run import ResponseRun
from youtu_edge.front.durable.durable_requests import DurableRequests
from youtu_edge.front.durable.generations import Generations
from youtu_edge.front.durable.headers import make_durability_middleware
from youtu_edge.front.http import answer_headers, cors
from youtu_edge.front.http.acceptor import Acceptor
from youtu_edge.front.http.app import Handlers, make_app
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.site import Site
from youtu_edge.front.http.static_files import StaticFiles
from youtu_edge.front.http.tls import Tls
from youtu_edge.front.inflight.active_requests import ActiveRequest, ActiveRequests
from youtu_edge.front.inflight.request_log import log_request
from youtu_edge.front.inflight.tokenizer_queries import TokenizerQueries
from youtu_edge.front.keys.access import check_exposure, make_access_middleware
from youtu_edge.front.keys.key_ring import KeyRing
from youtu_edge.front.keys.key_usage import KeyUsage
from youtu_edge.front.machine.batch_limit import BatchLimit
from youtu_edge.front.machine.board_watch import BoardWatch
from youtu_edge.front.machine.memory_watch import MemoryWatch
from youtu_edge.front.reload import Reloader
from youtu_edge.front.status.metrics import Metrics
from youtu_edge.front.status.routes import StatusHandlers
from youtu_edge.front.status.status_line import StatusLine
from youtu_edge.front.supervision.package_choice import PackageChoice
from youtu_edge.front.supervision.supervisor import State, Supervisor
from youtu_edge.front.systemd_notify import SystemdNotify
from youtu_edge.log import line
from youtu_edge.package import Manifest, read_manifest
from youtu_edge.process_limits import described_limits
from youtu_edge.recommendation import Recommendation

log = logging.getLogger(__name__)

ENGINE_ARGV = (sys.executable, "-m", "youtu_edge.engine")

_LAST_ANSWERS_S = 1.0
"""After giving up: how long the last answers may take to reach their clients."""


class Service:
    """One daemon. `run` returns the exit code or raises a YoutuEdgeError that carries it."""

    def __init__(
        self,
        config: Config,
        engine_argv: Sequence[str] = ENGINE_ARGV,
        read_config: Callable[[], Config] | None = None,
        board_files: BoardFiles | None = None,
    ) -> None:
        """`read_config` gives the configuration as it is written now, for reloads; without it there are none."""
        clock = time.monotonic
        self._config = config
        self._model: ServedModel | None = None
        self._stopping = asyncio.Event()
        self._stop_at_once = asyncio.Event()
        self._notify = SystemdNotify()
        self._active = ActiveRequests(clock, self._request_ended)
        self._queries = TokenizerQueries(config.service.max_queue)
        self._supervisor = Supervisor(
            config,
            self._active,
            self._queries,
            argv=engine_argv,
            clock=clock,
            on_state=self._state_changed,
            on_working=lambda ids: self._durable.working(ids),
            package=PackageChoice(config.model.path, on_refused=lambda: self._metrics.package_refused()),
        )
        keys_file = Path(config.service.keys_file)
        self._key_ring = KeyRing(keys_file)
        self._tls = Tls(config.service)
        self._site = Site(config.service, self._tls.context, self._opened)
        self._key_usage = KeyUsage(keys_file.with_suffix(".usage.json"), time.time)
        self._data = DataDirectory(config.storage.directory)
        self._cache = self._response_cache() if config.response_cache.enabled else None
        self._admission = Admission(
            config.service, self._active, self._queries, self._supervisor, self._key_usage, self._cache
        )
        self._bodies = BodyReader(config.service.max_body_bytes, config.service.body_timeout_s)
        self._intake = Intake(config.generation, self._admission, lambda: self._model)
        self._reloader = Reloader(config, read_config, self.configure) if read_config else None
        self._status_line = StatusLine(
            lambda: self._config,
            self._supervisor,
            self._active,
            lambda: self._reloader.waiting if self._reloader else [],
            clock,
        )
        self._metrics = Metrics(self._supervisor.counters, lambda: self._status.gauges())
        self._archive = ResponseArchive(config.storage, lambda: self._storage_failed("responses"))
        self._batch_limit = BatchLimit(config.scheduler.max_sequences, self._supervisor.send)
        self._memory = MemoryWatch(config.memory, self._supervisor, self._batch_limit, self._shed_caches, clock)
        self._board = BoardWatch(
            config.thermal,
            config.scheduler.max_sequences,
            threads=config.engine.threads,
            files=board_files or BoardFiles(),
            clock=clock,
            on_limit=lambda limit: self._batch_limit.set("heat", limit),
        )
        self._metrics.register(self._board)
        self._ui = StaticFiles()
        self._conversations = Conversations(config.storage, lambda: self._storage_failed("conversations"))
        self._durable = DurableRequests(
            config.storage, self._admission, self._package_checksum, lambda: self._storage_failed("requests")
        )
        self._responses: dict[str, ResponseRun] = {}
        self._background = BackgroundResponses(self._durable, self._archive, self._responses, self._model_name)
        self._admission.is_short_of_memory = lambda: self._memory.refuses_requests
        self._status = StatusHandlers(
            admission=self._admission,
            active_requests=self._active,
            supervisor=self._supervisor,
            metrics=self._metrics,
            board=self._board,
            memory=self._memory,
            served_model=lambda: self._model,
            num_durable=lambda: self._durable.num_unfinished,
            ui=self._ui,
            conversations=self._conversations,
            clock=clock,
        )

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT.

        Raises PortInUseError, AddressMissingError, DataInUseError, ConfigError, EngineGaveUpError or EngineFatalError.
        """
        check_exposure(self._config.service, self._key_ring)
        self._site.bind()
        self._data.claim()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_requested, number)
        if self._reloader and not os.isatty(0):  # in a terminal SIGHUP means that it was closed
            loop.add_signal_handler(signal.SIGHUP, self._reload, self._reloader)
        self._conversations.database.start()
        if self._cache:
            self._cache.database.start()
        self._durable.database.start()
        await self._durable.resume()
        await self._background.resume()
        self._archive.database.start()
        # Cancelling the handler of a client that left is what cancels its request.
        runner = web.AppRunner(self.make_app(), access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        assert runner.server is not None
        # What is there now stays: no later collection walks through it, which took 15 ms of every stream.
        gc.collect()
        gc.freeze()
        works = (
            self._board.run(),
            self._notify.watchdog(lambda: self._supervisor.is_progressing),
            self._notify.keep_status_current(
                self._status_line, lambda: not self._is_serving and self._supervisor.is_progressing
            ),
            self._key_usage.keep_saved(),
            self._memory.run(),
        )
        tasks = [asyncio.ensure_future(work) for work in works]
        opening = asyncio.ensure_future(self._site.open(runner.server, lambda: self._model is not None))
        try:
            return await self._supervise(opening)
        finally:
            for task in (*tasks, opening):
                task.cancel()
            self._site.close()
            await runner.cleanup()
            await self._background.close()
            await self._durable.close()
            await self._conversations.database.close()
            if self._cache:
                await self._cache.database.close()
            await self._archive.database.close()
            self._key_usage.save()

    def make_app(self) -> web.Application:
        """The application with every route, as `run` serves it."""
        bodies, intake = self._bodies, self._intake
        generations = Generations(self._admission, self._durable)
        groups: list[Handlers] = [
            self._status,
            ChatHandlers(intake, generations, bodies),
            CompletionHandlers(intake, generations, bodies),
            PlainHandlers(intake, generations, self._conversations, bodies),
            SessionHandlers(self._conversations, self._admission, bodies),
            MessageHandlers(intake, generations, bodies),
            ResponseHandlers(intake, generations, bodies, self._archive, self._background, self._responses),
            TokenHandlers(self._admission, bodies),
            self._ui,
        ]
        app, table = make_app(self._config, groups, bodies.expect, self._metrics.refused)
        answer_headers.install(app)
        cors.install(app, self._config.service.cors_origins)
        app.middlewares.append(make_access_middleware(self._key_ring, table.scope))
        app.middlewares.append(make_durability_middleware(table.find))
        return app

    def configure(self, config: Config) -> None:
        """Go on with a configuration in which only keys of reload.LIVE_KEYS are new."""
        self._config = config
        logging.root.setLevel(config.service.log_level.upper())
        self._admission.configure(config.service)
        self._supervisor.configure(config)
        self._bodies.configure(config.service.max_body_bytes)
        self._intake.configure(config.generation)

    def _reload(self, reloader: Reloader) -> None:
        is_serving = self._is_serving
        if is_serving:
            self._notify.reloading()
        reloader.reload()
        self._tls.reload()
        if is_serving:
            self._tell_ready()

    def _opened(self, acceptor: Acceptor) -> None:
        """Requests are taken from now on."""
        self._metrics.register(acceptor)
        self._status_line.url = self._site.url
        if self._is_serving:
            self._tell_ready()
        else:
            self._notify.status(self._status_line())

    def _tell_ready(self) -> None:
        """The status comes first: whoever waited for `systemctl start` reads it at once."""
        self._notify.status(self._status_line())
        self._notify.ready()

    @property
    def _is_serving(self) -> bool:
        """Whether the model has been loaded and the port is bound."""
        return self._model is not None and bool(self._site.url)

    async def _supervise(self, opening: asyncio.Future[None]) -> int:
        """Until the engine gives up, somebody stops us, or `opening` fails."""
        engine = asyncio.ensure_future(self._supervisor.run())
        stopping = asyncio.ensure_future(self._stopping.wait())
        waiting: set[asyncio.Future[Any]] = {engine, stopping, opening}
        try:
            while not engine.done() and not stopping.done():
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if opening in waiting and opening.done():
                    opening.result()
                    waiting.discard(opening)
            if engine.done():
                error = engine.exception()
                await asyncio.sleep(_LAST_ANSWERS_S if isinstance(error, EngineGaveUpError) else 0.1)
                if isinstance(error, EngineGaveUpError) and self._model is None and (limits := described_limits()):
                    raise EngineGaveUpError(f"{error.message}; it never got ready, and {limits}") from None
                engine.result()
            self._notify.stopping()
            await self._drain(engine)
            await self._supervisor.stop()
            log.info(line("stopped"))
            return EXIT_OK
        finally:
            for task in (engine, stopping):
                task.cancel()
            await asyncio.gather(engine, stopping, return_exceptions=True)

    async def _drain(self, engine: asyncio.Future[None]) -> None:
        """Let running requests finish for drain_s, or until a second signal; then fail the rest."""
        self._admission.is_draining = True
        log.info(line("draining", unfinished=len(self._active), drain_s=self._config.service.drain_s))
        self._status_line.is_draining = True
        self._notify.status(self._status_line())
        end = time.monotonic() + self._config.service.drain_s
        while time.monotonic() < end and not self._stop_at_once.is_set() and not engine.done():
            if not self._active and not self._queries:
                break
            await asyncio.sleep(0.02)
        stopping = UnavailableError("the daemon is stopping; send the request again")
        self._active.fail_all(stopping.code, stopping.message)
        self._queries.fail_all(stopping)
        await asyncio.sleep(0.05)  # the handlers write their last events

    def _storage_failed(self, what: str) -> None:
        self._metrics.storage_failed(what)
        self._data.claim_again()

    def _shed_caches(self) -> None:
        if self._cache:
            self._cache.shed()

    def _stop_requested(self, number: int) -> None:
        if self._stopping.is_set():
            self._stop_at_once.set()
        log.info(line("signal", name=signal.Signals(number).name))
        self._stopping.set()

    def _state_changed(self, state: State) -> None:
        ready = self._supervisor.ready
        if state == "ready" and ready:
            self._batch_limit.engine_ready()
            first = self._model is None
            self._model = ServedModel(
                name=self._config.model.name or ready.model,
                context_length=ready.context_length,
                created=self._model.created if self._model else int(time.time()),
                recommendation=self._recommendation(),
            )
            if first and self._is_serving:
                self._tell_ready()
        elif state == "restarting":
            self._metrics.engine_restarting()
        elif state == "recycling":
            self._metrics.engine_recycling()
        self._notify.status(self._status_line())

    def _package_checksum(self) -> str:
        manifest = self._manifest()
        return manifest.checksum if manifest else ""

    def _model_name(self) -> str:
        if self._model:
            return self._model.name
        manifest = self._manifest()
        return self._config.model.name or (manifest.name if manifest else "")

    def _manifest(self) -> Manifest | None:
        try:
            return read_manifest(Path(self._supervisor.package.path))
        except YoutuEdgeError:  # the engine will say so
            return None

    def _recommendation(self) -> Recommendation:
        try:
            return read_recommendation(Path(self._supervisor.package.path))
        except YoutuEdgeError as error:
            log.warning(line("generation_ignored", reason=error.message))
            return Recommendation()

    def _response_cache(self) -> ResponseCache:
        return ResponseCache(
            self._config,
            self._active,
            lambda: self._supervisor.ready.fingerprint if self._supervisor.ready else "",
            on_lookup=lambda hit: self._metrics.looked_up(hit),
            on_failure=lambda: self._storage_failed("response-cache"),
        )

    def _request_ended(self, active: ActiveRequest) -> None:
        self._supervisor.policy.request_ended(active)
        self._metrics.request_ended(active)
        if self._cache:
            self._cache.keep(active)
        if active.key is not None:
            computed = active.prompt_tokens + active.completion_tokens if active.cache != "HIT" else 0
            self._key_usage.end(active.key, computed)
        log_request(active)


def serve(
    config: Config,
    engine_argv: Sequence[str] = ENGINE_ARGV,
    read_config: Callable[[], Config] | None = None,
    board_files: BoardFiles | None = None,
) -> int:
    """Run the daemon in this process; returns the exit code or raises a YoutuEdgeError."""

    async def main() -> int:
        return await Service(config, engine_argv, read_config, board_files).run()

    return asyncio.run(main())
