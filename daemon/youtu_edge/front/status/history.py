"""What has happened since the start, for people: the latest events, the fate of requests, and how long first texts took."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import msgspec

from youtu_edge.front.inflight.active_requests import ActiveRequest
from youtu_edge.front.supervision.supervisor import State

_MAX_EVENTS = 20
_MAX_TIMES = 100


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that an operator would like to know."""

    at: int
    """Unix time in seconds."""
    kind: str
    """A state of the engine, `started`, `storage_failed`, `package_refused` or `request_failed`."""
    detail: str = ""


class RequestFigures(msgspec.Struct, kw_only=True):
    """Requests since the start; the times in seconds are those of the last 100 first texts, null without one."""

    ended: int
    failed: int
    refused: int
    """Answered with an error and not admitted."""
    first_texts: int
    """How many of the times there are."""
    first_text_median_s: float | None
    first_text_p90_s: float | None


class History:
    """Told by the parts that notice something; holds a bounded number of events and times."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._events: deque[Event] = deque(maxlen=_MAX_EVENTS)
        self._first_texts: deque[float] = deque(maxlen=_MAX_TIMES)
        self._ended = self._failed = self._refused = 0
        self._note("started")

    @property
    def events(self) -> list[Event]:
        """The latest events, newest first."""
        return list(reversed(self._events))

    def figures(self) -> RequestFigures:
        """The requests so far."""
        times = sorted(self._first_texts)

        def quantile(share: float) -> float | None:
            return round(times[min(int(len(times) * share), len(times) - 1)], 3) if times else None

        return RequestFigures(
            ended=self._ended,
            failed=self._failed,
            refused=self._refused,
            first_texts=len(times),
            first_text_median_s=quantile(0.5),
            first_text_p90_s=quantile(0.9),
        )

    def request_ended(self, active: ActiveRequest) -> None:
        """An admitted request has ended."""
        self._ended += 1
        if active.failure:
            self._failed += 1
            self._note("request_failed", active.failure)
        if active.first_text_at is not None:
            self._first_texts.append(active.first_text_at - active.opened_at)

    def refused(self, code: str) -> None:
        """A request was answered with an error."""
        self._refused += 1

    def engine_changed(self, state: State) -> None:
        """The engine is in another state."""
        self._note(state)

    def storage_failed(self, database: str) -> None:
        """A read or write of a database failed."""
        self._note("storage_failed", database)

    def package_refused(self) -> None:
        """A model version failed here and was rolled back."""
        self._note("package_refused")

    def _note(self, kind: str, detail: str = "") -> None:
        event = Event(int(self._wall()), kind, detail)
        if self._events and (self._events[-1].kind, self._events[-1].detail) == (kind, detail):
            self._events.pop()  # the same once more: only the last time counts
        self._events.append(event)
