"""One durable request with its events, and those who read it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeGuard

from youtu_edge.errors import EngineGaveUpError, UnavailableError
from youtu_edge.front.durable.journal import EntrySummary, Event
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.from_engine import Delta, Failed, Finished

_UNFINISHED = (UnavailableError.code, EngineGaveUpError.code)
"""Failures that say nothing about the request: it goes on with the next start."""
Load = Callable[["DurableRequest"], Awaitable[None]]
"""Reads the events of a request that only the journal has."""


def ends_for_now(code: str) -> bool:
    """Whether a failure of this code says nothing about the request, which goes on with the next start."""
    return code in _UNFINISHED


def is_for_the_next_start(event: Event) -> TypeGuard[Failed]:
    """Whether the request goes on with the next start of the daemon."""
    return isinstance(event, Failed) and ends_for_now(event.code)


class DurableRequest:
    """A request and its events so far. Many may follow it."""

    def __init__(self, summary: EntrySummary, events: list[Event] | None = None) -> None:
        self.summary = summary
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
        return bool(missing) and not is_for_the_next_start(missing[-1])

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
    """One reader of a request from its first event on; takes the place of an open request in a GenerationStream."""

    def __init__(self, load: Load, request: DurableRequest, submit: GenerationRequest) -> None:
        """`submit` says what was asked for, so that the reader can tell its parts apart."""
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
