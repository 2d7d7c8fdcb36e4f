"""Finds the request or query that kills engines, from what was in progress at each death.

    first death   everything in progress becomes a suspect: in the next engine each runs alone until it has
                  PROBATION_TOKENS more than now
    second death  of one that ran alone and gained fewer than that: it is the poison, and fails instead of being retried

Only the poison fails: running beside it is never enough, and the tokens gained clear a suspect. A suspect that has not run
yet stays one. If its client leaves, it is not computed again, but the same content stays suspected for a while, whichever
client sends it next. A poison sent again is rejected for a while instead of killing two more engines.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from youtu_edge.errors import PoisonRequestError
from youtu_edge.protocol.to_engine import PROBATION_TOKENS

STRIKES = 2
"""Consecutive deaths, with fewer than PROBATION_TOKENS gained between them, that make a request a poison."""

_MEMORY_S = 600.0
_MOST_REMEMBERED = 64
_MOST_SUSPECTS = 256

_Kept = TypeVar("_Kept")


@dataclass(frozen=True, slots=True)
class _Suspect:
    strikes: int
    tokens: int
    """Tokens of its answer when the last engine died."""

    def holds(self, tokens: int) -> bool:
        """Whether it is still a suspect once it has `tokens` tokens."""
        return tokens < self.tokens + PROBATION_TOKENS


class PoisonWatch:
    """Suspects by id; their content by its digest, see `work`. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._suspects: dict[str, _Suspect] = {}
        self._left: OrderedDict[bytes, tuple[float, _Suspect]] = OrderedDict()
        """Suspected content without a client: until when, and the suspicion."""
        self._quarantine: OrderedDict[bytes, tuple[float, None]] = OrderedDict()

    def engine_died(self, working: Mapping[str, int], unfinished: Mapping[str, int]) -> str | None:
        """Record a death; returns the id of the poison if it is certain.

        working: what the engine was working on, and how many tokens each has. unfinished: the same for all that is still
        open.
        """
        former = self._suspects
        self._suspects = {
            name: _Suspect(suspect.strikes, unfinished[name])  # its probation restarts in the next engine
            for name, suspect in former.items()
            if name not in working and name in unfinished and suspect.holds(unfinished[name])
        }
        for name, tokens in working.items():
            before = former.get(name)
            strikes = before.strikes + 1 if before and before.holds(tokens) else 1
            self._suspects[name] = _Suspect(strikes, tokens)
        if len(working) != 1:
            return None
        (name,) = working
        return name if self._suspects[name].strikes >= STRIKES else None

    def suspect(self, name: str, tokens: int) -> None:
        """Have a request run alone: the whole daemon died while it was in progress, which is not a strike."""
        self._suspects[name] = _Suspect(0, tokens)

    def is_suspect(self, name: str, tokens: int) -> bool:
        """Whether a request with `tokens` tokens so far has to run alone in the next engine."""
        suspect = self._suspects.get(name)
        return suspect is not None and suspect.holds(tokens)

    def begin(self, name: str, digest: bytes) -> None:
        """A request or query was admitted; if the same content was suspected before, it still is."""
        self._expire(self._left)
        if found := self._left.get(digest):
            self._suspects[name] = found[1]
            if len(self._suspects) > _MOST_SUSPECTS:
                del self._suspects[next(iter(self._suspects))]

    def left(self, name: str, digest: bytes) -> None:
        """Its client has left; a suspicion stays with its content. An engine may still be working on it."""
        suspect = self._suspects.get(name)
        if suspect is not None and suspect.strikes:
            self._keep(self._left, digest, suspect)

    def survived(self, name: str, digest: bytes) -> None:
        """An engine has finished it and is alive."""
        self._suspects.pop(name, None)
        self._left.pop(digest, None)

    def quarantine(self, name: str, digest: bytes) -> None:
        """Quarantine the digest of a poison, and drop the suspicion."""
        self.survived(name, digest)
        self._keep(self._quarantine, digest, None)

    def check(self, digest: bytes) -> None:
        """Raises PoisonRequestError for content in quarantine."""
        self._expire(self._quarantine)
        if digest in self._quarantine:
            raise PoisonRequestError("rejected: the engine recently crashed twice on the same request")

    def _keep(self, memory: OrderedDict[bytes, tuple[float, _Kept]], digest: bytes, kept: _Kept) -> None:
        memory.pop(digest, None)
        memory[digest] = (self._clock() + _MEMORY_S, kept)
        if len(memory) > _MOST_REMEMBERED:
            memory.popitem(last=False)

    def _expire(self, memory: OrderedDict[bytes, tuple[float, _Kept]]) -> None:
        while memory and next(iter(memory.values()))[0] <= self._clock():
            memory.popitem(last=False)
