"""Starts the engine, watches its progress, restarts it and hands unfinished requests to the next one.

    loading ──Ready──> ready ──death or no progress──> restarting ──Ready──> ready
       │                                                   │
       └── exit or Fatal with 78: EngineFatalError         └── budget exhausted: EngineGaveUpError

    ready ──recycle──> recycling ──Ready──> ready      (asked to exit between requests: not a death, not in the budget)
    ready ──another version activated──> recycling      (new requests wait for it, running ones finish first)
    any   ──death of a version on trial──> restarting   (rolled back to the version before; see package_choice)

Progress is `Ready`, a `StepFrame` or a `Heartbeat`: all three come from the step loop, so that an engine whose step loop
hangs is overdue even if its other threads still run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from youtu_edge.config import Config
from youtu_edge.errors import EngineFatalError, EngineGaveUpError
from youtu_edge.front.inflight.active_requests import ActiveRequest, ActiveRequests
from youtu_edge.front.inflight.tokenizer_queries import ActiveQuery, TokenizerQueries
from youtu_edge.front.supervision.engine_counters import EngineCounters
from youtu_edge.front.supervision.engine_end import EngineEnd
from youtu_edge.front.supervision.engine_link import EngineLink, start_engine_patiently
from youtu_edge.front.supervision.model_exchange import ModelExchange
from youtu_edge.front.supervision.package_choice import PackageChoice
from youtu_edge.front.supervision.progress import Progress
from youtu_edge.front.supervision.recycler import Recycler
from youtu_edge.front.supervision.recycling import LEAVE_S
from youtu_edge.front.supervision.restart_policy import RestartPolicy
from youtu_edge.log import line
from youtu_edge.process_death import Death
from youtu_edge.protocol.from_engine import Fatal, FromEngine, Heartbeat, Ready, StepFrame, Working
from youtu_edge.protocol.to_engine import Cancel, SetLogLevel, Shutdown, Start, ToEngine

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "restarting", "recycling", "gave_up", "stopped"]

_LOGGED_OF_READY = ("model", "context_length", "pages", "page_tokens", "load_seconds")
_GRACE_S = 5.0
"""How long beyond a deadline the supervisor may take to act on it."""


class Supervisor:
    """Owns the engine process. `run` is the only task; everything else is called from the event loop."""

    def __init__(
        self,
        config: Config,
        active_requests: ActiveRequests,
        queries: TokenizerQueries,
        *,
        argv: Sequence[str],
        clock: Callable[[], float],
        package: PackageChoice,
    ) -> None:
        self._config = config
        self.package = package
        self._active = active_requests
        self._queries = queries
        self._exchange = ModelExchange(package, active_requests)
        self._argv = argv
        self.on_state: list[Callable[[State], None]] = []
        """Called after each change of the state."""
        self.on_working: list[Callable[[Sequence[str]], None]] = []
        """Called before the engine works on the requests with these ids."""
        self._link: EngineLink | None = None
        self._fatal: Fatal | None = None
        self._progress = Progress(clock)
        self._is_stopped = False
        self._working: list[str] = []
        self.policy = RestartPolicy(config, active_requests, queries, clock)
        self._recycler = Recycler(active_requests, queries, package, self.policy, clock)
        self.state: State = "loading"
        self.ready: Ready | None = None
        """`Ready` of the current engine, or of the last one."""
        self.restarts = 0
        """Replacements of engines that died or hung."""
        self.counters = EngineCounters()

    @property
    def pid(self) -> int | None:
        """Process id of the running engine."""
        return self._link.pid if self._link else None

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the package that was loaded last; "" before the first."""
        return self.ready.fingerprint if self.ready else ""

    @property
    def recycles(self) -> int:
        """Replacements of engines that were asked to exit."""
        return self._recycler.count

    @property
    def is_recycling(self) -> bool:
        """Whether new requests wait for the next engine, although this one is ready."""
        return self._recycler.is_active

    @property
    def is_progressing(self) -> bool:
        """Whether the engine makes progress, or the supervisor is replacing it within the deadlines."""
        return self.state not in ("gave_up", "stopped") and self._progress.silent_s < self._deadline_s + _GRACE_S

    async def run(self) -> None:
        """Keep an engine running until `stop`. Raises EngineGaveUpError or EngineFatalError, having failed all requests."""
        try:
            while not self._is_stopped:
                death = await self._life()
                if death and not self._is_stopped:
                    await self._prepare_restart(death)
        except (EngineGaveUpError, EngineFatalError) as error:
            self._enter("gave_up")
            self._active.fail_all(EngineGaveUpError.code, error.message)
            self._queries.fail_all(EngineGaveUpError(error.message))
            raise

    def configure(self, config: Config) -> None:
        """Apply new deadlines and log level; the next engine starts with this configuration."""
        self._config = config
        if self._link:
            self._link.send(SetLogLevel(config.service.log_level))

    def submit(self, active: ActiveRequest) -> None:
        """Send a request to the engine now, or to the next engine as soon as it is ready; not while it is held."""
        if active.is_held or self.is_recycling:
            return
        is_suspect = self.policy.poison.is_suspect(active.submit.id, active.completion_tokens)
        self.send(msgspec.structs.replace(active.submit, is_suspect=True) if is_suspect else active.submit)

    def send_query(self, entry: ActiveQuery) -> None:
        """Send it to the engine now, or the next engine as soon as it is ready."""
        if not self.is_recycling:
            self.send(entry.message)

    def cancel(self, request_id: str) -> None:
        """Cancel this request in the engine; without a ready engine it ends here."""
        if self.state == "ready" and self._link:
            self._link.send(Cancel(request_id))
        else:
            self._active.end_cancelled()

    def send(self, message: ToEngine) -> None:
        """Send a message to the engine if it is ready; it is not repeated to the next engine."""
        if self.state == "ready" and self._link:
            self._link.send(message)

    def recycle(self, reason: str) -> None:
        """Replace a ready engine once its requests have ended, or after some seconds; new ones wait for the next."""
        if self.state == "ready":
            self._recycler.begin(reason)

    async def stop(self) -> None:
        """Ask the engine to exit, and kill it if it does not."""
        self._is_stopped = True
        self._enter("stopped")
        if link := self._link:
            link.send(Shutdown())
            try:
                async with asyncio.timeout(LEAVE_S):
                    await link.wait_closed()
            except TimeoutError:
                link.kill()

    @property
    def _deadline_s(self) -> float:
        service = self._config.service
        return service.step_deadline_s if self.state == "ready" else service.load_deadline_s

    async def _life(self) -> Death | None:
        """Run one engine, and roll back the model version if that is to blame; returns as `_run_engine`."""
        try:
            death = await self._run_engine()
        except EngineFatalError as error:
            if await self.package.is_to_blame() and self._go_back(error.message):
                return None
            raise
        if death and self.package.is_on_trial and not self._is_stopped and self._go_back(death.reason):
            return None
        return death

    def _go_back(self, reason: str) -> bool:
        if not self.package.refuse(reason):
            return False
        self.policy.forget_model()
        self._progress.note()
        if self.state == "ready":
            self._enter("restarting")
        return True

    async def _run_engine(self) -> Death | None:
        """One engine from start to end; returns how it died, or None if it exited because we asked it to."""
        self._fatal = None
        self._recycler.engine_starts()
        self._begin_work([])
        self._active.engine_starts()
        self._queries.engine_starts()
        self._progress.note()
        try:
            self._link = link = await start_engine_patiently(
                self._argv, self._on_message, lambda: not self._is_stopped and self._progress.silent_s < self._deadline_s
            )
        except OSError as error:
            return Death(f"cannot be started: {error}", may_be_a_request=False)
        log.info(line("engine_started", pid=link.pid, restarts=self.restarts, rung=self.policy.rung or None))
        model = msgspec.structs.replace(self._config.model, path=self.package.choose())
        link.send(Start(self.policy.engine_config(msgspec.structs.replace(self._config, model=model))))
        closed = asyncio.ensure_future(link.wait_closed())
        end = EngineEnd()
        try:
            while not closed.done():
                overdue = self._progress.overdue(self._deadline_s, is_ready=self.state == "ready")
                if overdue and not end.overdue:
                    end.note_overdue(overdue, link.pid)
                    link.kill()
                self._recycle_if_due(link)
                await self._progress.wait(closed, min(1.0, self._deadline_s / 4))
            code = closed.result()
        finally:
            link.kill()
            closed.cancel()
            self._link = None
            self.counters.engine_ended()
            self._active.end_cancelled()
        if self._is_stopped:
            return None
        end.raise_if_fatal(code, self._fatal)
        if self._recycler.exit_requested:
            return None
        return end.death(code)

    def _recycle_if_due(self, link: EngineLink) -> None:
        due = self._recycler.due(is_ready=self.state == "ready", drain_s=self._config.updates.drain_s)
        if due == "kill":
            link.kill()
        elif due == "ask":
            self._enter("recycling")
            self._progress.note()
            link.send(Shutdown())

    async def _prepare_restart(self, death: Death) -> None:
        wait = self.policy.engine_died(death, self._working)
        self.restarts += 1
        self._progress.note()
        if self.state in ("ready", "recycling"):
            self._enter("restarting")
        await asyncio.sleep(wait)

    def _on_message(self, message: FromEngine) -> None:
        if isinstance(message, Ready | StepFrame | Heartbeat):
            self._progress.note()
        if isinstance(message, StepFrame | Heartbeat) and message.stats:
            self.counters.update(message.stats)
        if isinstance(message, StepFrame) and any(finished.is_answer for finished in message.finished):
            self.package.answered()
        if isinstance(message, Working):
            self._begin_work(message.ids)
        elif isinstance(message, Fatal):
            log.error(line("engine_fatal", exit_code=message.exit_code, reason=message.message))
            self._fatal = message
        elif isinstance(message, Ready):
            self._engine_ready(message)
        elif not self._queries.apply(message) and (shortened := self._active.apply(message)):
            self.submit(shortened)

    def _begin_work(self, ids: list[str]) -> None:
        self._working = ids
        for notify in self.on_working:
            notify(ids)

    def _engine_ready(self, ready: Ready) -> None:
        if self._is_stopped:
            return
        self.ready = ready
        self.policy.engine_ready(ready)
        self._enter("ready")
        facts = {name: getattr(ready, name) for name in _LOGGED_OF_READY}
        log.info(line("engine_ready", **facts, resumed=len(self._active)))
        self._exchange.engine_ready()
        for active in self._active:
            active.resumes += 1
            self.submit(active)
        for entry in self._queries:
            self.send_query(entry)

    def _enter(self, state: State) -> None:
        if state != self.state:
            self.state = state
            for notify in self.on_state:
                notify(state)
