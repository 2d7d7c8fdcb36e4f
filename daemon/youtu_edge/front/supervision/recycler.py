"""Decides when a live engine is replaced, and when it is asked to exit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from youtu_edge.front.inflight.active_requests import ActiveRequests
from youtu_edge.front.inflight.tokenizer_queries import TokenizerQueries
from youtu_edge.front.supervision.package_choice import PackageChoice
from youtu_edge.front.supervision.recycling import Recycling
from youtu_edge.front.supervision.restart_policy import RestartPolicy
from youtu_edge.log import line

log = logging.getLogger(__name__)

_PATIENCE_S = 10.0
"""How long a recycling waits for the running requests; those that take longer are resumed in the next engine."""


class Recycler:
    """At most one recycling at a time; one for a new model takes precedence."""

    def __init__(
        self,
        active_requests: ActiveRequests,
        queries: TokenizerQueries,
        package: PackageChoice,
        policy: RestartPolicy,
        clock: Callable[[], float],
    ) -> None:
        self._active = active_requests
        self._queries = queries
        self._package = package
        self._policy = policy
        self._clock = clock
        self._recycling: Recycling | None = None
        self.count = 0
        """Engines that were asked to exit."""

    @property
    def is_active(self) -> bool:
        """Whether new requests wait for the next engine."""
        return self._recycling is not None

    @property
    def exit_requested(self) -> bool:
        """Whether the engine was asked to exit, so that its end is not a death."""
        return self._recycling is not None and self._recycling.exit_requested

    def engine_starts(self) -> None:
        """The next engine starts: the recycling is complete."""
        self._recycling = None

    def begin(self, reason: str, *, patience_s: float = _PATIENCE_S, is_new_model: bool = False) -> None:
        """Replace the engine, which is ready, as soon as its requests have ended, or after `patience_s`."""
        if self._recycling is None or (is_new_model and not self._recycling.is_new_model):
            log.warning(line("engine_recycle", reason=reason, unfinished=len(self._active) + len(self._queries)))
            self._recycling = Recycling(
                self._active, self._queries, self._clock, patience_s=patience_s, is_new_model=is_new_model
            )

    def due(self, *, is_ready: bool, drain_s: float) -> Literal["", "ask", "kill"]:
        """What has to be done to the engine now. `drain_s`: the patience before another model is loaded."""
        if is_ready and self._policy.is_recovered:
            self.begin("no death for the period of service.max_restart_rate: back to the full configuration")
        if is_ready and self._package.has_changed():
            self.begin("another version of the model was activated", patience_s=drain_s, is_new_model=True)
        if self._recycling is None:
            return ""
        if self._recycling.must_kill:
            return "kill"
        if not self._recycling.may_ask:
            return ""
        self.count += 1
        self._policy.choose_rung()
        if self._recycling.is_new_model:
            self._policy.forget_model()
        self._recycling.request_exit()
        return "ask"
