"""The routes about the daemon itself: liveness, readiness, metrics, status, start page."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from youtu_edge import __version__
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.admission.served_model import CurrentModel
from youtu_edge.front.conversations.conversations import Conversations
from youtu_edge.front.durable.durable_requests import DurableRequests
from youtu_edge.front.http.error_body import error_document
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.route import Route
from youtu_edge.front.http.static_files import StaticFiles, wants_html
from youtu_edge.front.inflight.active_requests import ActiveRequests
from youtu_edge.front.machine.board_watch import BoardWatch
from youtu_edge.front.machine.memory_watch import MemoryWatch
from youtu_edge.front.machine.process_memory import resident_bytes
from youtu_edge.front.status.disk import Disk
from youtu_edge.front.status.document import (
    DeviceStatus,
    LoadedModel,
    StatusDocument,
    StorageStatus,
)
from youtu_edge.front.status.history import History
from youtu_edge.front.status.metrics import Metrics
from youtu_edge.front.status.readiness import Readiness
from youtu_edge.front.status.update_gauges import update_gauges
from youtu_edge.front.supervision.degrade import NAMES
from youtu_edge.front.supervision.supervisor import Supervisor
from youtu_edge.protocol.from_engine import PLAN_PARTS


class StatusHandlers:
    """Reads the state of the other parts; changes nothing."""

    def __init__(
        self,
        *,
        readiness: Readiness,
        admission: Admission,
        active_requests: ActiveRequests,
        supervisor: Supervisor,
        metrics: Metrics,
        board: BoardWatch,
        memory: MemoryWatch,
        model: CurrentModel,
        durable: DurableRequests,
        ui: StaticFiles,
        conversations: Conversations,
        history: History,
        disk: Disk,
        clock: Callable[[], float],
    ) -> None:
        self._readiness = readiness
        self._admission = admission
        self._active = active_requests
        self._supervisor = supervisor
        self._metrics = metrics
        self._board = board
        self._memory = memory
        self._model = model
        self._durable = durable
        self._ui = ui
        self._conversations = conversations
        self._history = history
        self._disk = disk
        self._clock = clock
        self._started_at = clock()

    def routes(self) -> list[Route]:
        """The read-only routes."""
        return [
            Route("GET", "/", self.index, answer=str, scope=None),
            Route("GET", "/livez", self.livez, answer=str, scope=None),
            Route("GET", "/readyz", self.readyz, answer=str, scope=None, errors={503: str}),
            Route("GET", "/metrics", self.metrics, answer=str, scope="metrics"),
            Route("GET", "/v1/status", self.status, answer=StatusDocument, scope="metrics"),
        ]

    async def livez(self, request: web.Request) -> web.Response:
        """GET /livez: the front answers."""
        return web.Response(text="ok\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """GET /readyz: 200 when a request sent now would be computed at once, else 503 with the reason."""
        obstacle = self._readiness.obstacle()
        return web.Response(text=f"{obstacle or 'ready'}\n", status=503 if obstacle else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /metrics: all figures in Prometheus' text format."""
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def status(self, request: web.Request) -> web.Response:
        """GET /v1/status: everything a technician asks first."""
        ready, model, counters = self._supervisor.ready, self._model.value, self._supervisor.counters
        document = StatusDocument(
            version=__version__,
            state="draining" if self._admission.is_leaving else self._supervisor.state,
            uptime_s=round(self._clock() - self._started_at, 3),
            restarts=self._supervisor.restarts,
            recycles=self._supervisor.recycles,
            degraded=NAMES[self._supervisor.policy.rung] if self._supervisor.policy.rung else None,
            unfinished_requests=len(self._active),
            unfinished_durable_requests=self._durable.num_unfinished,
            model=LoadedModel(
                name=model.name,
                context_length=model.context_length,
                pages=ready.pages,
                page_tokens=ready.page_tokens,
                load_seconds=round(ready.load_seconds, 3),
            )
            if model and ready
            else None,
            device=DeviceStatus(name="cuda" if ready.device == "cuda" else "cpu", note=ready.device_note)
            if ready
            else None,
            board=self._board.status(),
            package=self._supervisor.package.status(),
            memory={
                "front_resident_bytes": resident_bytes(os.getpid()),
                "engine_resident_bytes": resident_bytes(self._supervisor.pid),
                "engine_plan_bytes": ready.memory if ready else {},
                **self._memory.document(),
            },
            engine={
                **msgspec.structs.asdict(counters.total()),
                "mean_batch": round(counters.mean_batch, 3),
                "step_overhead_seconds": round(counters.step_overhead_seconds, 6),
            },
            storage=StorageStatus(
                conversations="disk" if self._conversations.database.is_persistent else "memory", disk=self._disk.figures()
            ),
            requests=self._history.figures(),
            events=self._history.events,
            accepting=self._refusal(),
        )
        return json_response(document)

    async def index(self, request: web.Request) -> web.Response:
        """GET /: the web UI for browsers, a text about the daemon for programs."""
        if wants_html(request):
            return self._ui.page(request)
        model = self._model.value
        name = model.name if model else "no model yet"
        return web.Response(
            text=f"youtu-edge {__version__}: {name} ({self._supervisor.state})\n\n"
            'POST /chat  {"prompt": "…"}\nPOST /chat_stream\nPOST /v1/chat/completions\n'
            "GET  /v1/models  /v1/status  /metrics  /readyz  /livez\n",
            headers={"Vary": "Accept"},
        )

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Figures of the front for /metrics: name -> (help, value)."""
        ready = self._supervisor.ready
        return {
            "queue_depth": ("Requests accepted and unfinished", len(self._active)),
            "durable_requests_unfinished": (
                "Durable requests whose complete answer is not yet on the disk",
                self._durable.num_unfinished,
            ),
            "engine_ready": ("1 while the engine is ready", float(self._supervisor.state == "ready")),
            "engine_rung": (
                "0 as configured, up to 3 the more the engine is degraded",
                float(self._supervisor.policy.rung),
            ),
            "package_on_trial": ("1 while the version has not answered yet", float(self._supervisor.package.is_on_trial)),
            "package_release": ("Release number of the served version", float(self._supervisor.package.release)),
            **update_gauges(self._supervisor.package.update()),
            "uptime_seconds": ("Since the start of the daemon", self._clock() - self._started_at),
            "front_resident_bytes": ("Memory of the front process", resident_bytes(os.getpid())),
            **self._memory.gauges(),
            **{
                f"memory_{part}_bytes": (f"The memory plan: {part}", float(ready.memory.get(part, 0)) if ready else 0.0)
                for part in PLAN_PARTS
            },
            "engine_resident_bytes": ("Memory of the engine process", resident_bytes(self._supervisor.pid)),
        }

    def _refusal(self) -> Any:
        """True, or the error that a new request would get."""
        try:
            self._admission.check()
        except YoutuEdgeError as error:
            return error_document(error).error
        return True
