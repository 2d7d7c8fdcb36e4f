"""One durable request with its events, and its readers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeGuard

from youtu_edge.errors import EngineGaveUpError, UnavailableError
from youtu_edge.front.durable.journal import EntrySummary, Event
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.from_engine import Delta, Failed, Finished

_UNFINISHED = (UnavailableError.code, EngineGaveUpError.code)
"""Failures of the daemon, not of the request: it resumes at the next start."""
Load = Callable[["DurableRequest"], Awaitable[None]]
"""Loads the events of a request that are only in the journal."""


def ends_for_now(code: str) -> bool:
    """Whether a failure of this code ends the request for this process only: it resumes at the next start."""
    return code in _UNFINISHED


def is_for_the_next_start(event: Event) -> TypeGuard[Failed]:
    """Whether the request resumes at the next start of the daemon."""
    return isinstance(event, Failed) and ends_for_now(event.code)


class DurableRequest:
    """A request and its events so far. It may have many followers."""

    def __init__(self, summary: EntrySummary, events: list[Event] | None = None) -> None:
        self.summary = summary
        self.events = events if events is not None else []
        self.num_written = len(self.events)
        self._news = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether no event follows, at least not in this process."""
        return bool(self.events) and isinstance(self.events[-1], Finished | Failed)

    @property
    def has_unwritten(self) -> bool:
        """Whether an event still has to be written to the journal."""
        missing = self.events[self.num_written :]
        return bool(missing) and not is_for_the_next_start(missing[-1])

    def add(self, events: list[Event]) -> None:
        """Publish events to all followers."""
        self.events += events
        self._news.set()
        self._news = asyncio.Event()

    async def event(self, index: int) -> Event:
        """Event number `index`, as soon as there is one."""
        while len(self.events) <= index:
            await self._news.wait()
        return self.events[index]


class Follower:
    """One reader of a request from its first event on; a source for GenerationStream, as an ActiveRequest is."""

    def __init__(self, load: Load, request: DurableRequest, submit: GenerationRequest) -> None:
        """`submit` is the request, which GenerationStream needs to split the answer into pieces."""
        self._load = load
        self._request = request
        self._index = 0
        self.submit = submit
        self.created = request.summary.created
        self.events = self

    async def get(self) -> Event:
        """The next event. A cancelled call loses none."""
        await self._load(self._request)
        while True:
            event = await self._request.event(self._index)
            self._index += 1
            if not isinstance(event, Delta) or event.text or event.logprobs:
                return event
