"""Which request kills engines. Knows no process and no HTTP; it is told who was being worked on at each death.

    first death   those that were being worked on become suspects: in the next engine each runs alone until it has
                  PROBATION_TOKENS more than now
    second death  of one that ran alone and has fewer than that more: it is the poison, and it is failed instead of retried

Only the poison fails: company is never enough, and the tokens gained clear a suspect. A suspect whose turn did not come yet
stays one. The same question asked again is refused for a while instead of killing two more engines.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from youtu_edge.errors import PoisonRequestError
from youtu_edge.protocol import PROBATION_TOKENS, SamplingParams, Submit

STRIKES = 2
"""Deaths in a row, with hardly a token gained between them, that make a poison of a request."""

_QUARANTINE_S = 600.0
_MOST_QUARANTINED = 64


@dataclass(frozen=True, slots=True)
class _Suspect:
    strikes: int
    tokens: int
    """How many tokens of its answer there were when the last engine died."""

    def holds(self, tokens: int) -> bool:
        """Whether it is still suspected when it has so many tokens."""
        return tokens < self.tokens + PROBATION_TOKENS


class PoisonWatch:
    """Suspects among the unfinished requests, and questions that proved to be poison. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._suspects: dict[str, _Suspect] = {}
        self._quarantine: OrderedDict[bytes, float] = OrderedDict()

    def engine_died(self, working: Mapping[str, int], unfinished: Mapping[str, int]) -> str | None:
        """Note a death; returns the id of the poison if there is no doubt about it.

        working: requests the engine was working on, and how many tokens each has. unfinished: the same for all requests
        that are still open.
        """
        former = self._suspects
        self._suspects = {
            name: _Suspect(suspect.strikes, unfinished[name])  # the next engine begins its probation anew
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

    def suspect(self, request_id: str, tokens: int) -> None:
        """Have a request run alone: everything died while it was being worked on. That is no strike against it."""
        self._suspects[request_id] = _Suspect(0, tokens)

    def is_suspect(self, request_id: str, tokens: int) -> bool:
        """Whether a request with `tokens` tokens so far has to run alone in the next engine."""
        suspect = self._suspects.get(request_id)
        return suspect is not None and suspect.holds(tokens)

    def quarantine(self, submit: Submit) -> None:
        """Remember the question of a poison, and forget its suspicion."""
        self._suspects.pop(submit.id, None)
        self._quarantine[_question(submit)] = self._clock() + _QUARANTINE_S
        if len(self._quarantine) > _MOST_QUARANTINED:
            self._quarantine.popitem(last=False)

    def check(self, submit: Submit) -> None:
        """Raises PoisonRequestError for a question that was poison a short while ago."""
        while self._quarantine and next(iter(self._quarantine.values())) <= self._clock():
            self._quarantine.popitem(last=False)
        if self._quarantine and _question(submit) in self._quarantine:
            raise PoisonRequestError("the same request made the engine die twice a short while ago; it is not tried again")


def _question(submit: Submit) -> bytes:
    """Digest of what the engine is asked to compute: not who asks, with which seed, or how much of the answer there is."""
    plain = msgspec.structs.replace(
        submit, id="", priority=0, sampling=SamplingParams(), sent_tokens=[], sent_text="", is_suspect=False
    )
    return hashlib.sha256(msgspec.msgpack.encode(plain)).digest()
