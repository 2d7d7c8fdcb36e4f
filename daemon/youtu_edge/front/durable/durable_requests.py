"""Requests that survive client disconnects, engine crashes, restarts of this process and power cuts.

    client ──> record in the journal ──> request ──> engine
                                            │ events
    clients <── DurableRequest <── journal <┘          written before a client sees it

A request ends when its answer does, not when its client leaves. At startup every unfinished one is submitted again with the
tokens in the journal. Clients may follow a request from its first event any number of times.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from weakref import WeakValueDictionary

import msgspec

from youtu_edge.config import StorageConfig
from youtu_edge.errors import PoisonRequestError, StorageError, UnavailableError
from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.database import Database
from youtu_edge.front.durable.durable_request import DurableRequest, Follower, is_for_the_next_start
from youtu_edge.front.durable.headers import Durability
from youtu_edge.front.durable.journal import MIGRATIONS, EntrySummary, Event, JournalEntry, Limits, RequestJournal
from youtu_edge.front.durable.work_notes import WorkNotes
from youtu_edge.front.http.durability import LAST_EVENT_HEADER
from youtu_edge.front.inflight.active_requests import ActiveRequest
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.front.keys.caller import owner
from youtu_edge.log import line
from youtu_edge.protocol.from_engine import Accepted, Delta, Failed, Finished
from youtu_edge.request_errors import IdempotencyConflictError, ModelChangedError, NotFoundError

log = logging.getLogger(__name__)

FILE = "requests.db"
MAX_FRUITLESS_STARTS = 5
"""A request fails once this many consecutive starts have died while the engine worked on it, with no token gained."""
_CLOSE_S = 2.0
_RETRY_S = 1.0


class DurableRequests:
    """All durable requests. `begin` and `follow` are for handlers, `resume` is called once at the start."""

    def __init__(
        self, config: StorageConfig, admission: Admission, model: Callable[[], str], on_failure: Callable[[], None]
    ) -> None:
        """`model` returns the checksum of the served package."""
        self.database = Database.in_directory(
            config.directory, FILE, MIGRATIONS, synchronous=config.synchronous, on_failure=on_failure
        )
        self._journal = RequestJournal(Limits(config.requests_max_bytes, config.requests_max_age_hours))
        self._is_to_persist = bool(config.directory)
        self._admission = admission
        self._model = model
        self._by_id: dict[str, EntrySummary] = {}
        self._by_key: dict[str, str] = {}
        self._running: dict[str, DurableRequest] = {}
        self._loaded_requests: WeakValueDictionary[str, DurableRequest] = WeakValueDictionary()
        self._pumps: set[asyncio.Task[None]] = set()
        self._notes = WorkNotes(self._note_work)

    @property
    def num_unfinished(self) -> int:
        """Requests whose complete answer is not yet on the disk."""
        return len(self._running)

    async def resume(self, on_reopen: Callable[[ActiveRequest], None] = lambda _: None) -> None:
        """Read the journal and resume unfinished requests. A request that cannot be resumed fails for good.

        `on_reopen` is called with each one that goes on, before an engine knows of it.
        """
        for summary in await self.database.run(self._journal.summaries):
            self._index(summary)
            if summary.is_ended:
                continue
            entry = await self.entry(summary.id)
            events = await self.database.run(partial(self._journal.events, request_id=summary.id))
            request = self._running[summary.id] = DurableRequest(summary, events)
            if reason := self._refusal(entry, events):
                await self._take(request, [Failed(summary.id, reason.code, reason.message)])
                del self._running[summary.id]
                continue
            self._notes.watch(summary.id)
            active = self._admission.reopen(
                _continued(entry.submit, events), summary.owner, is_suspect=entry.fruitless_starts > 0
            )
            active.wants_all = True
            on_reopen(active)
            log.info(line("request_resumed", id=summary.id, tokens=active.completion_tokens))
            self._start(self._pump(request, active))

    def known(self, wanted: Durability, body: bytes) -> str | None:
        """The id of the request of that key; None if the key is new. Raises IdempotencyConflictError."""
        if wanted.key is None or (request_id := self._by_key.get(wanted.key)) is None:
            return None
        if self._by_id[request_id].digest != hashlib.sha256(body).digest():
            raise IdempotencyConflictError(
                "Idempotency-Key: this key belongs to a request with another body; use a new key"
            )
        return request_id

    def begin(
        self,
        wanted: Durability,
        body: bytes,
        submit: GenerationRequest,
        on_open: Callable[[ActiveRequest], None] = lambda _: None,
    ) -> Follower:
        """The request of that key, or a new one, with which `on_open` is called.

        Raises as `Admission.open`, IdempotencyConflictError and NotFoundError.
        """
        if (request_id := self.known(wanted, body)) is not None:
            return self.follow(request_id, msgspec.structs.replace(submit, id=request_id))
        if self._is_to_persist and not self.database.is_persistent:
            raise StorageError(
                "requests.db could not be opened at startup; durable requests are unavailable until the daemon is restarted"
            )
        if wanted.last_event:
            raise NotFoundError(
                "Last-Event-ID: no request with this key is stored; send it without this header to start it again",
                param=LAST_EVENT_HEADER,
            )
        active = self._admission.open(submit)
        active.wants_all = True
        on_open(active)
        summary = EntrySummary(
            id=submit.id,
            key=wanted.key,
            owner=owner(),
            path=wanted.path,
            created=int(time.time()),
            digest=hashlib.sha256(body).digest(),
        )
        self._index(summary)
        request = self._running[summary.id] = DurableRequest(summary)
        entry = JournalEntry(summary=summary, body=body, submit=submit, model=self._model())
        self._start(self._write_and_pump(request, entry, active))
        return Follower(self.loaded, request, submit)

    def cancel(self, request_id: str) -> None:
        """End a request of the caller early; its followers get finish reason "cancelled"."""
        self._admission.cancel(request_id)

    def working(self, ids: Collection[str]) -> None:
        """The engine begins to work on these requests, durable or not, and on nothing else."""
        self._notes.working(ids)

    def unfinished(self, path: str) -> list[EntrySummary]:
        """Requests to `path` that are not answered yet, of all owners."""
        return [request.summary for request in self._running.values() if request.summary.path == path]

    async def entry(self, request_id: str) -> JournalEntry:
        """The journal's entry of a request. Raises NotFoundError and StorageError."""
        entry = await self.database.run(partial(self._journal.entry, summary=self._find(request_id)))
        if entry is None:
            raise _not_kept(request_id)
        return entry

    def owned(self, request_id: str) -> EntrySummary:
        """A request of the caller. Raises NotFoundError."""
        summary = self._find(request_id)
        if summary.owner != owner():
            raise _not_kept(request_id)
        return summary

    def follow(self, request_id: str, submit: GenerationRequest) -> Follower:
        """A reader from the first event on. Raises NotFoundError."""
        request = self._running.get(request_id) or self._loaded_requests.get(request_id)
        if request is None:
            request = self._loaded_requests[request_id] = DurableRequest(self._find(request_id))
        return Follower(self.loaded, request, submit)

    async def loaded(self, request: DurableRequest) -> None:
        """Make sure that the events of an ended request are in memory. Raises StorageError."""
        summary = request.summary
        if summary.is_ended and not request.events:
            events = await self.database.run(partial(self._journal.events, request_id=summary.id))
            if not request.events:
                request.add(events or [Failed(summary.id, NotFoundError.code, "the answer is no longer stored")])
                request.num_written = len(request.events)

    async def close(self) -> None:
        """Finish pending writes; called when every request has ended."""
        if self._pumps:
            await asyncio.wait(self._pumps, timeout=_CLOSE_S)
        await self.database.close()

    def _find(self, request_id: str) -> EntrySummary:
        if (summary := self._by_id.get(request_id)) is None:
            raise _not_kept(request_id)
        return summary

    def _index(self, summary: EntrySummary) -> None:
        self._by_id[summary.id] = summary
        if summary.key is not None:
            self._by_key[summary.key] = summary.id

    def _forget(self, request_id: str) -> None:
        summary = self._by_id.pop(request_id, None)
        if summary is not None and summary.key is not None:
            self._by_key.pop(summary.key, None)

    def _refusal(self, entry: JournalEntry, events: list[Event]) -> PoisonRequestError | ModelChangedError | None:
        if entry.fruitless_starts >= MAX_FRUITLESS_STARTS:
            return PoisonRequestError(f"the daemon crashed {entry.fruitless_starts} times on this request; giving up")
        if entry.model != self._model() and any(isinstance(event, Delta) for event in events):
            return ModelChangedError("the model was changed while this request was unfinished; send it again")
        return None

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)

    async def _write_and_pump(self, request: DurableRequest, entry: JournalEntry, active: ActiveRequest) -> None:
        try:
            for forgotten in await self.database.run(partial(self._journal.add, entry=entry)):
                self._forget(forgotten)
        except StorageError as error:
            # It cannot be durable: an error is better than an answer that only seems to be safe.
            self._admission.close(active)
            self._running.pop(request.summary.id, None)
            self._forget(request.summary.id)
            request.add([Failed(request.summary.id, error.code, error.message)])
            return
        await self._pump(request, active)

    async def _pump(self, request: DurableRequest, active: ActiveRequest) -> None:
        """Write events to the journal, and only then publish them to the followers."""
        while not request.is_over:
            events: list[Event] = [await active.events.get()]
            while not active.events.empty():  # what came while the disk was busy is written together
                events.append(active.events.get_nowait())
            await self._take(request, events)
        while request.has_unwritten:  # the clients have it all; retry until the disk has it, too
            await asyncio.sleep(_RETRY_S)
            await self._take(request, [])
        self._running.pop(request.summary.id, None)
        if request.summary.is_ended:
            self._loaded_requests[request.summary.id] = request

    async def _take(self, request: DurableRequest, events: list[Event]) -> None:
        if events and isinstance(events[0], Accepted) and request.events:  # an earlier engine has accepted it already
            events = events[1:]
        pending = [*request.events[request.num_written :], *events]
        if pending and is_for_the_next_start(last := pending[-1]):
            pending.pop()
            if last.code == UnavailableError.code and self._notes.settle(request.summary.id):  # a regular stop
                await self._note_work(set(), {request.summary.id})
        elif any(isinstance(event, Delta | Finished | Failed) for event in events):
            self._notes.settle(request.summary.id)
        first = request.num_written
        if pending and await self._write(
            request.summary.id, partial(self._journal.append, request_id=request.summary.id, first=first, events=pending)
        ):
            request.num_written += len(pending)
            request.summary.is_ended = isinstance(pending[-1], Finished | Failed)
        request.add(events)

    async def _note_work(self, begun: set[str], over: set[str]) -> None:
        await self._write(",".join(begun | over), partial(self._journal.note_work, begun=begun, over=over))

    async def _write(self, what: str, work: Callable[[sqlite3.Connection], None]) -> bool:
        try:
            await self.database.run(work)
        except StorageError as error:  # the answer goes on; what is missing is written with the next event
            log.error(line("request_not_written", id=what, reason=error.message))
            return False
        return True


def _not_kept(request_id: str) -> NotFoundError:
    return NotFoundError(f"no request {request_id[:100]!r} is stored", name=request_id)


def _continued(submit: GenerationRequest, events: list[Event]) -> GenerationRequest:
    """The request with the tokens and text that were sent, according to its events."""
    deltas = [event for event in events if isinstance(event, Delta)]
    return msgspec.structs.replace(
        submit,
        sent_tokens=[token for delta in deltas for token in delta.tokens],
        sent_text="".join(delta.text for delta in deltas),
    )
