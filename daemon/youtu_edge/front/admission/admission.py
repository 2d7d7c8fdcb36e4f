"""Decides whether a request may start, before any work is done for it."""

from __future__ import annotations

import asyncio

from youtu_edge.config import ServiceConfig
from youtu_edge.errors import DeadlineError, EngineGaveUpError, MemoryPressureError, OverloadedError, UnavailableError
from youtu_edge.front.admission.response_cache import ResponseCache
from youtu_edge.front.inflight.active_requests import ActiveRequest, ActiveRequests
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.front.inflight.tokenizer_queries import TokenizerQueries
from youtu_edge.front.inflight.work import digest_of
from youtu_edge.front.keys.caller import CALLER
from youtu_edge.front.keys.key_usage import KeyUsage
from youtu_edge.front.machine.memory_watch import MemoryWatch
from youtu_edge.front.supervision.supervisor import Supervisor
from youtu_edge.protocol.from_engine import Reply
from youtu_edge.protocol.to_engine import TokenizerQuery


class Admission:
    """The only entry into the tables of requests and queries, and the exit for a client that disconnects."""

    def __init__(
        self,
        service: ServiceConfig,
        active_requests: ActiveRequests,
        queries: TokenizerQueries,
        supervisor: Supervisor,
        key_usage: KeyUsage,
        memory: MemoryWatch,
        cache: ResponseCache | None = None,
    ) -> None:
        self._active = active_requests
        self._queries = queries
        self.configure(service)
        self._supervisor = supervisor
        self._key_usage = key_usage
        self._memory = memory
        self._cache = cache
        self._lookups: set[asyncio.Future[None]] = set()
        self.is_leaving = False
        """The daemon is going to stop; requests are accepted until `is_draining`."""
        self.is_draining = False

    @property
    def is_full(self) -> bool:
        """Whether no further request is admitted before one ends."""
        return len(self._active) >= self._max_queue

    def configure(self, service: ServiceConfig) -> None:
        """Apply a new queue bound and time limit; requests that were admitted before keep theirs."""
        self._max_queue = self._queries.max_open = service.max_queue
        self._timeout_s = service.request_timeout_s

    def check(self) -> None:
        """Raises UnavailableError, EngineGaveUpError, MemoryPressureError or OverloadedError.

        Applies the limits of the daemon and of the caller's key. Requests are admitted, and wait, while a crashed engine
        restarts.
        """
        state = self._supervisor.state
        if self.is_draining or state == "stopped":
            raise UnavailableError("the daemon is stopping", retry_after_s=10)
        if state == "gave_up":
            raise EngineGaveUpError("the engine died too often; the daemon is stopping, see its log")
        if state == "loading":
            raise UnavailableError("the model is being loaded", retry_after_s=2)
        if self._memory.refuses_requests:
            raise MemoryPressureError("the machine is short of memory; try again later", retry_after_s=10)
        if (key := CALLER.get().key) is not None:
            self._key_usage.check(key)
        if self.is_full:
            raise OverloadedError(f"{self._max_queue} requests are unfinished (service.max_queue); try again later")

    def open(self, submit: GenerationRequest) -> ActiveRequest:
        """Admit a request and hand it to the engine. Raises as `check`, PoisonRequestError and DeadlineError."""
        self.check()
        poison = self._supervisor.policy.poison
        poison.check(digest := digest_of(submit))
        deadline = self._deadline()
        active = self._active.open(submit, digest)
        poison.begin(submit.id, digest)
        active.client = CALLER.get().address
        if deadline is not None:
            active.deadline = asyncio.get_running_loop().call_at(deadline, self._expire, submit.id)
        if (key := CALLER.get().key) is not None:
            active.key = key.name
            self._key_usage.begin(key.name)
        if self._cache is not None and (cache_key := self._cache.key(active.submit)) is not None:
            active.is_held = True
            task = asyncio.ensure_future(self._look_up(self._cache, active, cache_key))
            self._lookups.add(task)
            task.add_done_callback(self._lookups.discard)
        else:
            self._supervisor.submit(active)
        return active

    def _deadline(self) -> float | None:
        """The deadline of this caller's request in loop time, None without one. Raises DeadlineError if it has passed."""
        now = asyncio.get_running_loop().time()
        limits = [now + self._timeout_s] if self._timeout_s else []
        if (wanted := CALLER.get().deadline) is not None:
            limits.append(wanted)
        if limits and min(limits) <= now:
            raise DeadlineError("the deadline passed before the request started")
        return min(limits, default=None)

    def _expire(self, request_id: str) -> None:
        """Fail a request at its deadline; a running one leaves the engine within a step, a waiting one never starts."""
        self._active.fail(request_id, DeadlineError.code, "the deadline passed; generation was cancelled")
        self._supervisor.cancel(request_id)

    async def _look_up(self, cache: ResponseCache, active: ActiveRequest, key: bytes) -> None:
        """Answer from the cache, or submit the request to the engine unless it has ended."""
        is_answered = await cache.answer(active, key)
        active.is_held = False
        if active.is_cancelled:
            self._active.end_cancelled()
        if not is_answered and active.ended_at is None:
            self._supervisor.submit(active)

    def reopen(self, submit: GenerationRequest, key: str, *, is_suspect: bool) -> ActiveRequest:
        """Admit again a request from before this start, regardless of the limits; it waits for the engine.

        is_suspect: a previous daemon died while its engine was working on it.
        """
        active = self._active.open(submit)
        if is_suspect:
            self._supervisor.policy.poison.suspect(submit.id, active.completion_tokens)
        if key:
            active.key = key
            self._key_usage.begin(key)
        self._supervisor.submit(active)
        return active

    async def query(self, query: TokenizerQuery) -> Reply:
        """The engine's answer; waits while a crashed engine restarts. Raises as `open`, and the engine's rejection."""
        self.check()
        policy = self._supervisor.policy
        policy.poison.check(digest := digest_of(query))
        deadline = self._deadline()
        entry = self._queries.open(query, digest)
        policy.poison.begin(entry.message.id, digest)
        key = CALLER.get().key
        if key is not None:
            self._key_usage.begin(key.name)
        self._supervisor.send_query(entry)
        try:
            async with asyncio.timeout_at(deadline):
                return await entry.reply
        except TimeoutError:
            raise DeadlineError("the tokenizer query was not answered in time") from None
        finally:
            self._queries.close(entry)
            policy.query_ended(entry)
            if key is not None:
                self._key_usage.end(key.name, 0)

    def close(self, active: ActiveRequest) -> None:
        """The handler is done with a request; an unfinished one is cancelled."""
        if active.deadline is not None:
            active.deadline.cancel()
        if self._active.abandon(active):
            self._supervisor.cancel(active.submit.id)

    def cancel(self, request_id: str) -> bool:
        """Cancel a request of this caller; its client gets finish reason "cancelled". False when there is none."""
        key = CALLER.get().key
        found = [active for active in self._active.find(request_id) if key is None or active.key == key.name]
        for active in found:
            active.is_cancelled = True
            self._supervisor.cancel(active.submit.id)
        return bool(found)
