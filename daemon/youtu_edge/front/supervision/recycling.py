"""The replacement of a live engine: its work finishes, new work waits for the next engine.

It only decides; the supervisor sends and kills.
"""

from __future__ import annotations

from collections.abc import Callable

from youtu_edge.front.inflight.active_requests import ActiveRequests
from youtu_edge.front.inflight.tokenizer_queries import TokenizerQueries

LEAVE_S = 1.0
"""How long an engine may take to exit after Shutdown before it is killed."""


class Recycling:
    """From the decision to the engine's end. What takes longer than `patience_s` is resumed in the next engine."""

    def __init__(
        self,
        active_requests: ActiveRequests,
        queries: TokenizerQueries,
        clock: Callable[[], float],
        *,
        patience_s: float,
        is_new_model: bool = False,
    ) -> None:
        self._active = active_requests
        self._queries = queries
        self._clock = clock
        self._patience_s = patience_s
        self._since = clock()
        # A held request was never submitted to this engine: it waits for the next one, as later requests do.
        self._finishing = {active.submit.id for active in active_requests if not active.is_held}
        self._finishing |= {entry.message.id for entry in queries}
        self._exit_requested_at: float | None = None
        self.is_new_model = is_new_model
        """Whether the next engine loads another model."""

    @property
    def exit_requested(self) -> bool:
        """Whether the engine was asked to exit, so that its end is not a death."""
        return self._exit_requested_at is not None

    @property
    def may_ask(self) -> bool:
        """Whether its requests have finished, or `patience_s` has passed."""
        unfinished = any(active.submit.id in self._finishing for active in self._active) or any(
            entry.message.id in self._finishing for entry in self._queries
        )
        return not self.exit_requested and (not unfinished or self._clock() - self._since >= self._patience_s)

    def request_exit(self) -> None:
        """Record that the engine was asked to exit."""
        self._exit_requested_at = self._clock()

    @property
    def must_kill(self) -> bool:
        """Whether it did not exit in time: it is in a long step whose output was not sent, so nothing is lost."""
        return self._exit_requested_at is not None and self._clock() - self._exit_requested_at >= LEAVE_S
