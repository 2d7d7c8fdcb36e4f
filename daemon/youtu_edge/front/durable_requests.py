"""Requests that are finished whatever happens: to the client, to the engine, to this process or to the power.

    client ──> record in the journal ──> session ──> engine
                                            │ events
    clients <── DurableRequest <── journal <┘          what a client sees was written before

A request ends when its answer does, not when its client leaves. After a start every unfinished one is handed to the engine
again with the tokens that the journal has. Clients follow a request from its first event as often as they like.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import TypeGuard
from weakref import WeakValueDictionary

import msgspec

from youtu_edge.config import StorageConfig, parse_bytes
from youtu_edge.errors import (
    EngineGaveUpError,
    IdempotencyConflictError,
    ModelChangedError,
    NotFoundError,
    PoisonRequestError,
    StorageError,
    UnavailableError,
)
from youtu_edge.front.admission import Admission
from youtu_edge.front.caller import owner
from youtu_edge.front.database import Database
from youtu_edge.front.durable_intent import Intent
from youtu_edge.front.request_journal import MIGRATIONS, Event, Limits, Record, RequestJournal
from youtu_edge.front.sessions import Session
from youtu_edge.log import line
from youtu_edge.protocol import Accepted, Delta, Failed, Finished, Submit

log = logging.getLogger(__name__)

FILE = "requests.db"
MAX_FRUITLESS_STARTS = 5
"""A request that so many starts in a row took up, none of which lived to see its next token, is not tried again."""
_CLOSE_S = 2.0
_RETRY_S = 1.0
_UNFINISHED = (UnavailableError.code, EngineGaveUpError.code)
"""Failures that say nothing about the request: it goes on with the next start."""


class DurableRequest:
    """A request and its events so far. Many may follow it."""

    def __init__(self, record: Record, events: list[Event] | None = None) -> None:
        self.record = record
        self.events = events if events is not None else []
        self.num_written = len(self.events)
        self._news = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether no event follows, at least not in this life of the daemon."""
        return bool(self.events) and isinstance(self.events[-1], Finished | Failed)

    @property
    def has_unwritten(self) -> bool:
        """Whether the journal lacks an event that it has to have."""
        missing = self.events[self.num_written :]
        return bool(missing) and not _is_for_the_next_start(missing[-1])

    def add(self, events: list[Event]) -> None:
        """Show events to everybody who follows."""
        self.events += events
        self._news.set()
        self._news = asyncio.Event()

    async def event(self, index: int) -> Event:
        """Event number `index`, as soon as there is one."""
        while len(self.events) <= index:
            await self._news.wait()
        return self.events[index]


class Follower:
    """One reader of a request from its first event on; takes the place of a session in a GenerationStream."""

    def __init__(self, requests: DurableRequests, request: DurableRequest) -> None:
        self._requests = requests
        self._request = request
        self._index = 0
        self.submit = request.record.submit
        self.created = request.record.created
        self.events = self

    async def get(self) -> Event:
        """The next event. A cancelled call loses none."""
        await self._requests.loaded(self._request)
        event = await self._request.event(self._index)
        self._index += 1
        return event


class DurableRequests:
    """All durable requests. `begin` and `follow` are for handlers, `resume` is called once at the start."""

    def __init__(
        self, config: StorageConfig, admission: Admission, model: Callable[[], str], on_failure: Callable[[], None]
    ) -> None:
        """`model` tells the checksum of the package that is served."""
        self.database = Database(
            Path(config.directory) / FILE if config.directory else None,
            MIGRATIONS,
            synchronous="full" if config.synchronous == "full" else "normal",
            on_failure=on_failure,
        )
        self._journal = RequestJournal(Limits(parse_bytes(config.requests_max_size), config.requests_max_age_hours))
        self._admission = admission
        self._model = model
        self._by_id: dict[str, Record] = {}
        self._by_key: dict[str, str] = {}
        self._running: dict[str, DurableRequest] = {}
        self._at_hand: WeakValueDictionary[str, DurableRequest] = WeakValueDictionary()
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def num_unfinished(self) -> int:
        """Requests that are not yet answered and on the disk."""
        return len(self._running)

    async def resume(self) -> None:
        """Read the journal and continue what is unfinished. A request that cannot be continued fails for good."""
        for record in await self.database.run(self._journal.all):
            self._know(record)
            if record.is_ended:
                continue
            events = await self.database.run(partial(self._journal.events, request_id=record.id))
            request = DurableRequest(record, events)
            self._running[record.id] = request
            if reason := self._refusal(record, events):
                await self._take(request, [Failed(record.id, reason.code, reason.message)])
                del self._running[record.id]
                continue
            await self._write(request, partial(self._journal.count_start, request_id=record.id, change=1))
            session = self._admission.reopen(_continued(record.submit, events), record.owner)
            log.info(line("request_resumed", id=record.id, tokens=session.completion_tokens))
            self._start(self._pump(request, session))

    def begin(self, intent: Intent, submit: Submit) -> Follower:
        """The request of that key, or a new one. Raises as `Admission.open`, and IdempotencyConflictError."""
        if intent.key is not None and (known := self._by_key.get(intent.key)):
            record = self._by_id[known]
            if record.body != intent.body:
                raise IdempotencyConflictError("Idempotency-Key: this key belongs to a request with another body")
            return self.follow(known)
        session = self._admission.open(submit)
        record = Record(
            id=submit.id,
            key=intent.key,
            path=intent.path,
            body=intent.body,
            submit=submit,
            model=self._model(),
            owner=owner(),
            created=int(time.time()),
        )
        self._know(record)
        request = self._running[record.id] = DurableRequest(record)
        self._start(self._write_and_pump(request, session))
        return Follower(self, request)

    def find(self, request_id: str) -> Record:
        """What was asked. Raises NotFoundError."""
        record = self._by_id.get(request_id)
        if record is None or record.owner != owner():
            raise NotFoundError(f"no request {request_id[:100]} is kept here")
        return record

    def follow(self, request_id: str) -> Follower:
        """A reader from the first event on. Raises NotFoundError."""
        record = self.find(request_id)
        request = self._running.get(record.id) or self._at_hand.get(record.id)
        if request is None:
            request = self._at_hand[record.id] = DurableRequest(record)
        return Follower(self, request)

    async def loaded(self, request: DurableRequest) -> None:
        """Make sure that the events of an ended request are at hand. Raises StorageError."""
        record = request.record
        if record.is_ended and not request.events:
            events = await self.database.run(partial(self._journal.events, request_id=record.id))
            if not request.events:
                request.add(events or [Failed(record.id, NotFoundError.code, "the answer is no longer kept here")])

    async def close(self) -> None:
        """Write what is still on its way; called when every session has ended."""
        if self._pumps:
            await asyncio.wait(self._pumps, timeout=_CLOSE_S)
        await self.database.close()

    def _know(self, record: Record) -> None:
        self._by_id[record.id] = record
        if record.key is not None:
            self._by_key[record.key] = record.id

    def _forget(self, request_id: str) -> None:
        record = self._by_id.pop(request_id, None)
        if record is not None and record.key is not None:
            self._by_key.pop(record.key, None)

    def _refusal(self, record: Record, events: list[Event]) -> PoisonRequestError | ModelChangedError | None:
        if record.fruitless_starts >= MAX_FRUITLESS_STARTS:
            return PoisonRequestError(
                f"the daemon died {record.fruitless_starts} times with this request; it is not tried again"
            )
        if record.model != self._model() and any(isinstance(event, Delta) for event in events):
            return ModelChangedError("the model was changed while this request was unfinished; send it again")
        return None

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)

    async def _write_and_pump(self, request: DurableRequest, session: Session) -> None:
        try:
            for forgotten in await self.database.run(partial(self._journal.add, record=request.record)):
                self._forget(forgotten)
        except StorageError as error:
            # It cannot be what it was asked to be; better no answer than one that only seems to be safe.
            self._admission.close(session)
            self._running.pop(request.record.id, None)
            self._forget(request.record.id)
            request.add([Failed(request.record.id, error.code, error.message)])
            return
        await self._pump(request, session)

    async def _pump(self, request: DurableRequest, session: Session) -> None:
        """From the session to the journal, and only then to those who follow."""
        while not request.is_over:
            events: list[Event] = [await session.events.get()]
            while not session.events.empty():  # what came while the disk was busy is written together
                events.append(session.events.get_nowait())
            await self._take(request, events)
        while request.has_unwritten:  # the clients have it all; the disk will have it as soon as it can
            await asyncio.sleep(_RETRY_S)
            await self._take(request, [])
        self._running.pop(request.record.id, None)
        if request.record.is_ended:
            self._at_hand[request.record.id] = request

    async def _take(self, request: DurableRequest, events: list[Event]) -> None:
        if events and isinstance(events[0], Accepted) and request.events:  # a former engine had accepted it already
            events = events[1:]
        pending = [*request.events[request.num_written :], *events]
        if pending and _is_for_the_next_start(last := pending[-1]):
            pending.pop()
            if events and last.code == UnavailableError.code:  # stopped in good order
                await self._write(request, partial(self._journal.count_start, request_id=request.record.id, change=-1))
        first = request.num_written
        if pending and await self._write(
            request, partial(self._journal.append, request_id=request.record.id, first=first, events=pending)
        ):
            request.num_written += len(pending)
            request.record.is_ended = isinstance(pending[-1], Finished | Failed)
        request.add(events)

    async def _write(self, request: DurableRequest, work: Callable[[sqlite3.Connection], None]) -> bool:
        try:
            await self.database.run(work)
        except StorageError as error:  # the answer goes on; what is missing is written with the next event
            log.error(line("request_not_written", id=request.record.id, reason=error.message))
            return False
        return True


def _is_for_the_next_start(event: Event) -> TypeGuard[Failed]:
    return isinstance(event, Failed) and event.code in _UNFINISHED


def _continued(submit: Submit, events: list[Event]) -> Submit:
    """The rest of a request: what the events say was sent already."""
    deltas = [event for event in events if isinstance(event, Delta)]
    return msgspec.structs.replace(
        submit,
        sent_tokens=[token for delta in deltas for token in delta.tokens],
        sent_text="".join(delta.text for delta in deltas),
    )
