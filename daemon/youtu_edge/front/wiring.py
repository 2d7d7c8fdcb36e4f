"""Makes the parts of the front and connects them: every part receives its dependencies in its constructor."""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from youtu_edge.board_files import BoardFiles
from youtu_edge.board_name import board_name
from youtu_edge.config import Config
from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.admission.response_cache import ResponseCache
from youtu_edge.front.admission.served_model import CurrentModel
from youtu_edge.front.announcer import Announcer
from youtu_edge.front.conversations.conversations import Conversations
from youtu_edge.front.conversations.durable_turns import DurableTurns
from youtu_edge.front.conversations.routes import SessionHandlers
from youtu_edge.front.data_directory import DataDirectory
from youtu_edge.front.dialects.anthropic.routes import MessageHandlers
from youtu_edge.front.dialects.chat.routes import ChatHandlers
from youtu_edge.front.dialects.completions.routes import CompletionHandlers
from youtu_edge.front.dialects.ollama.routes import OllamaHandlers
from youtu_edge.front.dialects.plain.routes import PlainHandlers
from youtu_edge.front.dialects.responses.archive import ResponseArchive
from youtu_edge.front.dialects.responses.background import BackgroundResponses
from youtu_edge.front.dialects.responses.routes import ResponseHandlers
from youtu_edge.front.dialects.responses.run import ResponseRun
from youtu_edge.front.dialects.tokens.routes import TokenHandlers
from youtu_edge.front.durable.durable_requests import DurableRequests
from youtu_edge.front.durable.generations import Generations
from youtu_edge.front.durable.headers import make_durability_middleware
from youtu_edge.front.http import answer_headers, closing, cors
from youtu_edge.front.http.app import Handlers, make_app
from youtu_edge.front.http.board import Board
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.forwarded import TrustedProxies
from youtu_edge.front.http.home_network import HomeNetwork
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
from youtu_edge.front.service import Service
from youtu_edge.front.shutdown import Drain
from youtu_edge.front.status.disk import Disk
from youtu_edge.front.status.history import History
from youtu_edge.front.status.load import Load
from youtu_edge.front.status.metrics import BoardNameCollector, EngineCollector, GaugeCollector, Metrics
from youtu_edge.front.status.models import ModelHandlers
from youtu_edge.front.status.probes import ProbeHandlers
from youtu_edge.front.status.readiness import Readiness
from youtu_edge.front.status.routes import StatusHandlers
from youtu_edge.front.status.status_line import StatusLine
from youtu_edge.front.storage import Storage
from youtu_edge.front.supervision.package_choice import PackageChoice
from youtu_edge.front.supervision.supervisor import State, Supervisor
from youtu_edge.front.systemd_notify import SystemdNotify

ENGINE_ARGV = (sys.executable, "-m", "youtu_edge.engine")


class Wiring:
    """All parts of one daemon; `service` runs them. Raises ConfigError for what cannot be served."""

    def __init__(
        self,
        config: Config,
        engine_argv: Sequence[str] = ENGINE_ARGV,
        read_config: Callable[[], Config] | None = None,
        board_files: BoardFiles | None = None,
    ) -> None:
        """`read_config` returns the configuration as written now; None: reloads are not available."""
        clock = time.monotonic
        keys_file = Path(config.service.keys_file)
        self._config = config
        self._reloader = Reloader(config, read_config)
        self._metrics = Metrics()
        self._history = History()
        self._directory = DataDirectory(config.storage.directory)
        self._key_ring = KeyRing(keys_file)
        check_exposure(config.service, self._key_ring)
        self._key_usage = KeyUsage(keys_file.with_suffix(".usage.json"), time.time)
        tls = Tls(config.service)
        self._site = Site(config.service, tls.context)

        self._active = ActiveRequests(clock)
        self._queries = TokenizerQueries(config.service.max_queue)
        package = PackageChoice(config.model.path, on_refused=self._package_refused)
        self._supervisor = Supervisor(config, self._active, self._queries, argv=engine_argv, clock=clock, package=package)
        self._model = CurrentModel(config.model, package)
        self._cache = self._make_cache() if config.response_cache.enabled else None
        self._batch_limit = BatchLimit(config.scheduler.max_sequences, self._supervisor.send)
        self._memory = MemoryWatch(config.memory, self._supervisor, self._batch_limit, self._shed_caches, clock)
        self._board = BoardWatch(
            config.thermal,
            config.scheduler.max_sequences,
            threads=config.engine.threads,
            files=board_files or BoardFiles(),
            clock=clock,
            on_limit=partial(self._batch_limit.set, "heat"),
        )
        self._admission = Admission(
            config.service, self._active, self._queries, self._supervisor, self._key_usage, self._memory, self._cache
        )
        self._bodies = BodyReader(config.service.max_body_bytes, config.service.body_timeout_s)
        self._place = self._make_place(board_files or BoardFiles())
        self._intake = Intake(config.generation, self._admission, self._model, self._place)

        self._conversations = Conversations(config.storage, self._place, self._on_failure("conversations"))
        self._durable = DurableRequests(config.storage, self._admission, self._model.checksum, self._on_failure("requests"))
        self._durable_turns = DurableTurns(self._conversations, self._durable)
        self._archive = ResponseArchive(config.storage, self._on_failure("responses"))
        self._responses: dict[str, ResponseRun] = {}
        self._background = BackgroundResponses(self._durable, self._archive, self._responses, self._model.name)

        self.service = self._make_service(tls, clock)

    def _make_place(self, files: BoardFiles) -> Board:
        service = self._config.service
        name = board_name(service.board, port=service.port, host_name=socket.gethostname(), files=files)
        return Board(name, is_named=bool(service.board))

    def _make_service(self, tls: Tls, clock: Callable[[], float]) -> Service:
        status_line = StatusLine(self._reloader, self._supervisor, self._active, self._site, clock)
        announcer = Announcer(SystemdNotify(), status_line, self._site, self._model, self._supervisor)
        self._connect(announcer)
        return Service(
            app=self._make_app(clock),
            site=self._site,
            tls=tls,
            supervisor=self._supervisor,
            model=self._model,
            storage=Storage(
                self._directory,
                self._conversations,
                self._durable_turns,
                self._durable,
                self._archive,
                self._background,
                self._key_usage,
                self._cache,
            ),
            reloader=self._reloader,
            announcer=announcer,
            drain=Drain(self._admission, self._active, self._queries),
            upkeep=(
                self._board.run,
                announcer.keep_watchdog,
                announcer.keep_status,
                self._key_usage.keep_saved,
                self._memory.run,
                *self._home_network(),
            ),
        )

    def _home_network(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        service = self._config.service
        if not service.mdns:
            return []
        return [HomeNetwork(service.board or socket.gethostname(), service.host, lambda: self._site.url).run]

    def _make_cache(self) -> ResponseCache:
        return ResponseCache(
            self._config,
            self._active,
            lambda: self._supervisor.fingerprint,
            on_lookup=self._metrics.looked_up,
            on_failure=self._on_failure("response-cache"),
        )

    def _on_failure(self, database: str) -> Callable[[], None]:
        """The callback for a failed read or write of this database."""

        def failed() -> None:
            self._metrics.storage_failed(database)
            self._history.storage_failed(database)
            self._directory.claim_again()

        return failed

    def _connect(self, announcer: Announcer) -> None:
        """Subscribe the parts to each other's events; callbacks run in this order."""
        self._active.on_end += [
            self._supervisor.policy.request_ended,
            self._metrics.request_ended,
            self._history.request_ended,
        ]
        if self._cache:
            self._active.on_end.append(self._cache.keep)
        self._active.on_end += [self._charge, log_request]
        self._supervisor.on_working.append(self._durable.working)
        self._supervisor.on_state += [
            self._engine_changed,
            self._metrics.engine_changed,
            self._history.engine_changed,
            announcer.engine_changed,
        ]
        self._site.on_open += [self._metrics.register, announcer.opened]
        self._reloader.on_change += [
            self._supervisor.configure,
            lambda config: logging.root.setLevel(config.service.log_level.upper()),
            lambda config: self._admission.configure(config.service),
            lambda config: self._bodies.configure(config.service.max_body_bytes),
            lambda config: self._intake.configure(config.generation),
        ]

    def _engine_changed(self, state: State) -> None:
        if state == "ready" and (ready := self._supervisor.ready):
            self._batch_limit.engine_ready()
            self._model.engine_ready(ready)

    def _charge(self, active: ActiveRequest) -> None:
        if active.key is not None:
            computed = active.prompt_tokens + active.completion_tokens if active.cache != "HIT" else 0
            self._key_usage.end(active.key, computed)

    def _refused(self, code: str) -> None:
        self._metrics.refused(code)
        self._history.refused(code)

    def _package_refused(self) -> None:
        self._metrics.package_refused()
        self._history.package_refused()

    def _shed_caches(self) -> None:
        if self._cache:
            self._cache.shed()

    def _make_app(self, clock: Callable[[], float]) -> web.Application:
        """The application with every route."""
        bodies, intake, ui = self._bodies, self._intake, StaticFiles()
        generations = Generations(self._admission, self._durable)
        readiness = Readiness(self._admission, self._active, self._supervisor, self._memory, self._board)
        status = StatusHandlers(
            readiness=readiness,
            admission=self._admission,
            active_requests=self._active,
            supervisor=self._supervisor,
            metrics=self._metrics,
            board=self._board,
            memory=self._memory,
            model=self._model,
            durable=self._durable,
            ui=ui,
            conversations=self._conversations,
            history=self._history,
            disk=Disk(self._config.storage.directory, clock),
            clock=clock,
        )
        own = (BoardNameCollector(self._place.name), EngineCollector(self._supervisor.counters))
        for collector in (*own, GaugeCollector(status.gauges), self._board):
            self._metrics.register(collector)
        groups: list[Handlers] = [
            status,
            ModelHandlers(self._model),
            ProbeHandlers(readiness, self._model, self._config.scheduler.max_sequences),
            ChatHandlers(intake, generations, bodies),
            CompletionHandlers(intake, generations, bodies),
            PlainHandlers(intake, generations, bodies, self._conversations, self._durable_turns),
            SessionHandlers(self._conversations, self._admission, bodies),
            MessageHandlers(intake, generations, bodies),
            ResponseHandlers(intake, generations, bodies, self._archive, self._background, self._responses),
            OllamaHandlers(intake, generations, bodies, self._model, lambda: self._supervisor.ready),
            TokenHandlers(self._admission, bodies),
            ui,
        ]
        app, table = make_app(self._config, groups, bodies.expect, self._refused)
        self.routes = table.routes
        proxies = TrustedProxies(self._config.service.trusted_proxies)
        answer_headers.install(app)
        closing.install(app, lambda: self._admission.is_leaving)
        Load(self._active, self._supervisor.counters).install(app)
        self._place.install(app, proxies.is_https)
        cors.install(app, self._config.service.cors_origins)
        app.middlewares.append(make_access_middleware(self._key_ring, table.scope, proxies))
        app.middlewares.append(make_durability_middleware(table.find))
        return app
