"""What follows the death of an engine: which request fails, how long to wait, how degraded the next engine is, when to
give up.

It only decides; the supervisor starts and kills.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from youtu_edge.config import Config
from youtu_edge.errors import EngineGaveUpError, PoisonRequestError
from youtu_edge.front.inflight.active_requests import ActiveRequest, ActiveRequests
from youtu_edge.front.inflight.tokenizer_queries import ActiveQuery, TokenizerQueries
from youtu_edge.front.inflight.work import Work
from youtu_edge.front.supervision.degrade import NAMES, degraded, rung_after
from youtu_edge.front.supervision.poison import STRIKES, PoisonWatch
from youtu_edge.front.supervision.restart_budget import FIRST_WAIT_S, RestartBudget
from youtu_edge.log import line
from youtu_edge.process_death import Death
from youtu_edge.protocol.from_engine import Ready

log = logging.getLogger(__name__)


class RestartPolicy:
    """Combines the restart budget, the ladder and the search for poison."""

    def __init__(
        self, config: Config, active_requests: ActiveRequests, queries: TokenizerQueries, clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._active = active_requests
        self._queries = queries
        self._budget = RestartBudget(*config.service.restart_rate, clock)
        self._full: Ready | None = None
        self.poison = PoisonWatch(clock)
        self.rung = 0
        """The next engine's place on the ladder of `degrade`."""

    @property
    def is_recovered(self) -> bool:
        """Whether a degraded engine may be replaced by one of the full configuration: a whole period without a death."""
        return self.rung > 0 and self._budget.num_taken == 0

    def engine_config(self, config: Config) -> Config:
        """`config` as degraded for the next engine."""
        return degraded(config, self.rung, self._full)

    def forget_model(self) -> None:
        """Another model will be loaded: drop what `engine_ready` recorded."""
        self._full = None

    def engine_ready(self, ready: Ready) -> None:
        """Record the sizes of an engine with the full configuration."""
        if not self.rung:
            self._full = ready

    def choose_rung(self) -> None:
        """Set the rung for the next engine from the number of recent restarts."""
        rung = rung_after(self._budget.num_taken, self._budget.limit)
        if rung != self.rung:
            log.warning(line("engine_degraded", rung=rung, what=NAMES[rung]))
        self.rung = rung

    def engine_died(self, death: Death, working: Sequence[str]) -> float:
        """Seconds to wait before the next engine. `working`: ids of what the dead one was working on.

        Raises EngineGaveUpError when there were too many restarts.
        """
        unfinished = len(self._active)
        is_poisoned = death.may_be_a_request and self._fail_poison(working)
        wait = FIRST_WAIT_S if is_poisoned else self._budget.take()
        rate = self._config.service.max_restart_rate
        if wait is None:
            log.error(line("engine_gave_up", reason=death.reason, max_restart_rate=rate, unfinished=unfinished))
            raise EngineGaveUpError(
                f"the engine died more often than service.max_restart_rate {rate} allows: {death.reason}"
            )
        log.error(line("engine_died", reason=death.reason, unfinished=unfinished, restart_in_s=wait))
        self.choose_rung()
        return wait

    def request_ended(self, active: ActiveRequest) -> None:
        """A finished request is cleared of suspicion; one that was cancelled or failed stays suspected."""
        if active.outcome in ("stop", "length"):
            self.poison.survived(active.submit.id, active.digest)
        else:
            self.poison.left(active.submit.id, active.digest)

    def query_ended(self, entry: ActiveQuery) -> None:
        """The same for a query."""
        if entry.is_answered:
            self.poison.survived(entry.message.id, entry.work.digest)
        else:
            self.poison.left(entry.message.id, entry.work.digest)

    def _fail_poison(self, working: Sequence[str]) -> bool:
        """Whether this death identifies the poison; if so it is failed, and its deaths do not count in the budget."""
        unfinished = self._active.works() | self._queries.works()
        works = {name: work for name in working if (work := self._work_of(name)) is not None}
        poison = self.poison.engine_died(_tokens(works), _tokens(unfinished))
        if poison is None:
            for name in works.keys() - unfinished.keys():
                self.poison.left(name, works[name].digest)
            return False
        digest, tokens = works[poison]
        log.error(line("poison_request", id=poison, tokens=tokens))
        self.poison.quarantine(poison, digest)
        error = PoisonRequestError("the engine crashed twice on this request; giving up")
        self._active.fail_same(digest, error.code, error.message)
        self._queries.fail_same(digest, error)
        self._budget.forgive(STRIKES - 1)
        return True

    def _work_of(self, name: str) -> Work | None:
        return self._active.work_of(name) or self._queries.work_of(name)


def _tokens(works: Mapping[str, Work]) -> dict[str, int]:
    return {name: work.tokens for name, work in works.items()}
