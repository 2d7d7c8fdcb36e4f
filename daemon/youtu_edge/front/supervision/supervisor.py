"""Starts the engine, watches its progress, restarts it and hands unfinished requests to the next one.

    loading ──Ready──> ready ──death or no progress──> restarting ──Ready──> ready
       │                                                   │
       └── exit or Fatal with 78: EngineFatalError         └── budget exhausted: EngineGaveUpError

    ready ──recycle──> recycling ──Ready──> ready      (asked to leave between requests: no death, nothing off the budget)
    ready ──another version activated──> recycling      (new requests wait for it, running answers are finished before)
    any   ──the end of a version on trial──> restarting  (with the version before it; see package_choice)

Progress is `Ready`, a `StepFrame` or a `Heartbeat`: all three come from the step loop, so an engine whose other threads
still answer does not look alive.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from youtu_edge.config import Config
from youtu_edge.errors import EXIT_CONFIG, EngineGaveUpError, UnavailableError, YoutuEdgeError
from youtu_edge.front.inflight.active_requests import ActiveRequest, ActiveRequests
from youtu_edge.front.inflight.tokenizer_queries import ActiveQuery, TokenizerQueries
from youtu_edge.front.supervision.engine_counters import EngineCounters
from youtu_edge.front.supervision.engine_link import EngineLink, start_engine
from youtu_edge.front.supervision.package_choice import PackageChoice
from youtu_edge.front.supervision.recycling import LEAVE_S, Recycling
from youtu_edge.front.supervision.restart_policy import RestartPolicy
from youtu_edge.log import line
from youtu_edge.process_death import Death, is_stopped, judge, oom_kills
from youtu_edge.protocol.from_engine import Fatal, Finished, FromEngine, Heartbeat, Ready, StepFrame, Working
from youtu_edge.protocol.to_engine import Cancel, SetLogLevel, Shutdown, Start, ToEngine

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "restarting", "recycling", "gave_up", "stopped"]

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
"""Descriptors, processes, memory: why a process cannot be started although nothing is wrong with it."""
_SHORTAGE_WAIT_S = 0.5
_RECYCLE_WAIT_S = 10.0
"""How long a recycling waits for the running requests; those that take longer are resumed in the next engine."""


class EngineFatalError(YoutuEdgeError):
    """The engine left on purpose: a restart cannot help. `exit_code` becomes the daemon's."""

    code = "engine_fatal"

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # the engine chose it


def _is_answer(finished: Finished) -> bool:
    return finished.reason != "cancelled" and finished.completion_tokens > 0


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
        on_state: Callable[[State], None],
        on_working: Callable[[Sequence[str]], None],
        package: PackageChoice | None = None,
    ) -> None:
        self._config = config
        self.package = package or PackageChoice(config.model.path)
        self._tokenizer = ""
        self._active = active_requests
        self._queries = queries
        self._argv = argv
        self._clock = clock
        self._on_state = on_state
        self._on_working = on_working
        self._link: EngineLink | None = None
        self._fatal: Fatal | None = None
        self._progress_at = clock()
        self._is_stopped = False
        self._working: list[str] = []
        self._recycling: Recycling | None = None
        self.policy = RestartPolicy(config, active_requests, queries, clock)
        self.recycles = 0
        """Replacements of engines that were asked to leave."""
        self.state: State = "loading"
        self.ready: Ready | None = None
        """What the current engine, or the last one, said when it was loaded."""
        self.restarts = 0
        """Replacements of engines that died or hung."""
        self.counters = EngineCounters()

    @property
    def pid(self) -> int | None:
        """Process id of the running engine."""
        return self._link.pid if self._link else None

    @property
    def is_recycling(self) -> bool:
        """Whether new requests wait for the next engine, although this one is ready."""
        return self._recycling is not None

    @property
    def is_progressing(self) -> bool:
        """Whether the engine works, or the supervisor is doing something about it within the deadlines."""
        return self.state not in ("gave_up", "stopped") and self._clock() - self._progress_at < self._deadline_s + 5.0

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
        """Use other deadlines and another log level, and start the next engine with this configuration."""
        self._config = config
        if self._link:
            self._link.send(SetLogLevel(config.service.log_level))

    def submit(self, active: ActiveRequest) -> None:
        """Hand a request to the engine now, or to the next engine as soon as it is ready; not while it is held."""
        if active.is_held or self._recycling is not None:
            return
        is_suspect = self.policy.poison.is_suspect(active.submit.id, active.completion_tokens)
        self.send(msgspec.structs.replace(active.submit, is_suspect=True) if is_suspect else active.submit)

    def send_query(self, entry: ActiveQuery) -> None:
        """Send it to the engine now, or the next engine as soon as it is ready."""
        if self._recycling is None:
            self.send(entry.message)

    def cancel(self, request_id: str) -> None:
        """Tell the engine that nobody waits for this request any more; without an engine it ends here."""
        if self.state == "ready" and self._link:
            self._link.send(Cancel(request_id))
        else:
            self._active.end_cancelled()

    def send(self, message: ToEngine) -> None:
        """Hand a message to the engine if it is ready; the next engine starts afresh and is not told."""
        if self.state == "ready" and self._link:
            self._link.send(message)

    def recycle(self, reason: str, *, patience_s: float = _RECYCLE_WAIT_S, is_new_model: bool = False) -> None:
        """Replace a ready engine as soon as its requests have ended, or after `patience_s`; new ones wait for the next."""
        if self.state == "ready" and (self._recycling is None or (is_new_model and not self._recycling.is_new_model)):
            log.warning(line("engine_recycle", reason=reason, unfinished=len(self._active) + len(self._queries)))
            self._recycling = Recycling(
                self._active, self._queries, self._clock, patience_s=patience_s, is_new_model=is_new_model
            )

    async def stop(self) -> None:
        """Ask the engine to leave and kill it if it does not."""
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
        """One engine, and the way back to the version before when this one is no good; returns as `_run_engine`."""
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
        self._progress_at = self._clock()
        if self.state == "ready":
            self._enter("restarting")
        return True

    async def _run_engine(self) -> Death | None:
        """One life of an engine; returns how it died, None when it left because we asked it to."""
        self._fatal, self._recycling = None, None
        self._begin_work([])
        self._active.engine_starts()
        self._queries.engine_starts()
        self._progress_at = self._clock()
        try:
            self._link = link = await self._start_engine()
        except OSError as error:
            return Death(f"cannot be started: {error}", may_be_a_request=False)
        log.info(line("engine_started", pid=link.pid, restarts=self.restarts, rung=self.policy.rung or None))
        model = msgspec.structs.replace(self._config.model, path=self.package.choose())
        link.send(Start(self.policy.engine_config(msgspec.structs.replace(self._config, model=model))))
        closed = asyncio.ensure_future(link.wait_closed())
        killed_before = oom_kills()
        overdue, was_stopped = "", False
        try:
            while not closed.done():
                if not overdue and (overdue := self._overdue()):
                    was_stopped = is_stopped(link.pid)
                    link.kill()
                self._recycle_if_due(link)
                await self._wait(closed, min(1.0, self._deadline_s / 4))
            code = closed.result()
        finally:
            link.kill()
            closed.cancel()
            self._link = None
            self.counters.engine_ended()
            self._active.end_cancelled()
        if self._is_stopped:
            return None
        self._raise_if_fatal(code)
        if self._recycling and self._recycling.exit_requested:
            return None
        return judge(code, overdue=overdue, was_stopped=was_stopped, oom_kills=oom_kills() - killed_before)

    async def _start_engine(self) -> EngineLink:
        """An engine that is no more than a process. What the system lacks now it may have in a moment. Raises OSError."""
        begun = self._clock()
        while True:
            try:
                return await start_engine(self._argv, self._on_message)
            except OSError as error:
                if error.errno not in _SHORTAGES or self._is_stopped or self._clock() - begun >= self._deadline_s:
                    raise
                log.warning(line("engine_not_started", reason=error.strerror, effect="tried again"))
                await asyncio.sleep(_SHORTAGE_WAIT_S)

    async def _wait(self, closed: asyncio.Future[int], seconds: float) -> None:
        """Until the engine has ended, at most so long; what we oversleep is not counted against the engine.

        When the whole container or virtual machine stood still, so did the engine, and what it said is not read yet.
        """
        begun = self._clock()
        await asyncio.wait([closed], timeout=seconds)
        now = self._clock()
        self._progress_at = min(now, self._progress_at + max(0.0, now - begun - seconds))

    def _overdue(self) -> str:
        """What the engine failed to do in time; "" while it is within its deadline."""
        silent = self._clock() - self._progress_at
        if silent < self._deadline_s:
            return ""
        return f"{'finished no step' if self.state == 'ready' else 'was not ready'} for {silent:.1f} s"

    def _recycle_if_due(self, link: EngineLink) -> None:
        if self.policy.is_recovered:
            self.recycle("no death for the period of service.max_restart_rate: back to the full configuration")
        if self.state == "ready" and self.package.has_changed():
            patience_s = self._config.updates.drain_s
            self.recycle("another version of the model was activated", patience_s=patience_s, is_new_model=True)
        if self._recycling is None:
            return
        if self._recycling.must_kill:
            link.kill()
        elif self._recycling.may_ask:
            self.recycles += 1
            self.policy.choose_rung()
            if self._recycling.is_new_model:
                self.policy.forget_model()
            self._enter("recycling")
            self._progress_at = self._clock()
            self._recycling.request_exit()
            link.send(Shutdown())

    def _raise_if_fatal(self, code: int) -> None:
        # Any other Fatal is an ordinary death, announced: a restart may help.
        if self._fatal and self._fatal.exit_code == EXIT_CONFIG:
            raise EngineFatalError(self._fatal.message, self._fatal.exit_code)
        if code == EXIT_CONFIG:
            raise EngineFatalError("the engine refuses its configuration or model package; its log lines say why", code)

    async def _prepare_restart(self, death: Death) -> None:
        wait = self.policy.engine_died(death, self._working)
        self.restarts += 1
        self._progress_at = self._clock()
        if self.state in ("ready", "recycling"):
            self._enter("restarting")
        await asyncio.sleep(wait)

    def _on_message(self, message: FromEngine) -> None:
        if isinstance(message, Ready | StepFrame | Heartbeat):
            self._progress_at = self._clock()
        if isinstance(message, StepFrame | Heartbeat) and message.stats:
            self.counters.update(message.stats)
        if isinstance(message, StepFrame) and any(map(_is_answer, message.finished)):
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
        self._on_working(ids)

    def _engine_ready(self, ready: Ready) -> None:
        if self._is_stopped:
            return
        self.ready = ready
        self.policy.engine_ready(ready)
        self._enter("ready")
        log.info(
            line(
                "engine_ready",
                model=ready.model,
                context_length=ready.context_length,
                pages=ready.pages,
                page_tokens=ready.page_tokens,
                load_seconds=ready.load_seconds,
                resumed=len(self._active),
            )
        )
        self._fail_untranslatable()
        for active in self._active:
            active.resumes += 1
            self.submit(active)
        for entry in self._queries:
            self.send_query(entry)

    def _fail_untranslatable(self) -> None:
        """Answers that another version has begun go on where token ids mean the same; elsewhere they cannot be resumed."""
        former, self._tokenizer = self._tokenizer, self.package.tokenizer()
        if former in ("", self._tokenizer):
            return
        for active in self._active:
            if active.submit.sent_tokens:
                message = "the model was exchanged while it answered; send the request again"
                self._active.fail(active.submit.id, UnavailableError.code, message)

    def _enter(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state)
