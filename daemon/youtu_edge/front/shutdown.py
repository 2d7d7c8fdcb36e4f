"""How the daemon stops: the stop signals, and the time that running requests have to finish."""

from __future__ import annotations

import asyncio
import logging
import signal
import time

from youtu_edge.errors import UnavailableError
from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.inflight.active_requests import ActiveRequests
from youtu_edge.front.inflight.tokenizer_queries import TokenizerQueries
from youtu_edge.log import line

log = logging.getLogger(__name__)

_POLL_S = 0.02
_LAST_EVENTS_S = 0.05


class StopSignal:
    """SIGTERM or SIGINT: the first starts the drain, the second ends it (and its delay) at once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._urgent = asyncio.Event()

    @property
    def is_urgent(self) -> bool:
        """Whether there was a second signal."""
        return self._urgent.is_set()

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handle both signals from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received, number)

    async def wait(self) -> None:
        """Wait for the first signal."""
        await self._event.wait()

    async def wait_urgent(self) -> None:
        """Wait for the second signal."""
        await self._urgent.wait()

    def _received(self, number: int) -> None:
        if self._event.is_set():
            self._urgent.set()
        log.info(line("signal", name=signal.Signals(number).name))
        self._event.set()


class Drain:
    """Drains the requests of a stopping daemon."""

    def __init__(self, admission: Admission, active_requests: ActiveRequests, queries: TokenizerQueries) -> None:
        self._admission = admission
        self._active = active_requests
        self._queries = queries

    async def announce(self, delay_s: float, stop: StopSignal, engine: asyncio.Future[None]) -> None:
        """Be not ready for `delay_s` while requests are still accepted; until a second signal or the engine's end."""
        self._admission.is_leaving = True
        if not delay_s:
            return
        log.info(line("leaving", drain_delay_s=delay_s))
        urgent = asyncio.ensure_future(stop.wait_urgent())
        await asyncio.wait({urgent, engine}, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
        urgent.cancel()

    def begin(self, drain_s: float) -> None:
        """Reject new requests from now on."""
        self._admission.is_draining = True
        log.info(line("draining", unfinished=len(self._active), drain_s=drain_s))

    async def run(self, drain_s: float, stop: StopSignal, engine: asyncio.Future[None]) -> None:
        """Let running requests finish for `drain_s`, until a second signal or the engine's end; then fail the rest."""
        end = time.monotonic() + drain_s
        while time.monotonic() < end and not stop.is_urgent and not engine.done():
            if not self._active and not self._queries:
                break
            await asyncio.sleep(_POLL_S)
        stopping = UnavailableError("the daemon is stopping; send the request again")
        self._active.fail_all(stopping.code, stopping.message)
        self._queries.fail_all(stopping)
        await asyncio.sleep(_LAST_EVENTS_S)  # the handlers write their last events
