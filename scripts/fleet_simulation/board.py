"""One board as a server of continuous batching: its sequences share the steps, prompts are computed in chunks beside them.

Between two events (prompts begin or are done, a sequence ends) sequences get tokens at a constant rate, so the board is
computed from event to event and not step by step. With n sequences decoding and m prompts of together P seconds:

    step               s(n) = step_s + n * sequence_s
    decode             1 / s(n) tokens/s for each sequence
    prompts            k = ceil(P / stall_s) steps, in which the others get a token, too: P + k * s(n + m) seconds

Prompts that arrive within a step begin with the next one: on average after half a step. Those that fit into one chunk are
computed together.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import simpy

Outcome = Literal["answered", "away", "died", "cut", "full"]
"""answered; the connection was refused; it died before its first byte, or after it; the queue is full."""


@dataclass(frozen=True)
class Costs:
    """What a board needs, in seconds; measured or predicted."""

    step_s: float
    sequence_s: float
    prompt_s: float
    """For one prompt token that is not cached."""
    stall_s: float = 0.25
    """What prompts may add to a step, scheduler.max_stall_ms."""
    overhead_s: float = 0.0
    """Of HTTP and the balancer, before the first token."""
    max_sequences: int = 16
    max_queue: int = 64
    cache_tokens: int = 65_536
    page_tokens: int = 32

    def step(self, sequences: int) -> float:
        """s(n)."""
        return self.step_s + sequences * self.sequence_s


@dataclass
class Request:
    """One turn of a conversation. `prompt`: tokens of the whole conversation so far, `shared` of them common to all."""

    conversation: int
    prompt: int
    shared: int
    answer: int
    home: int | None = None
    """The board that has the conversation, as the client says."""
    cached: int = 0
    first_token_at: float = 0.0
    done: simpy.Event = field(default=None)  # type: ignore[assignment]


class Board:
    """`open`: requests that the balancer has sent and that have not ended."""

    def __init__(self, env: simpy.Environment, number: int, costs: Costs, on_change: Callable[[Board], None]) -> None:
        self.number = number
        self.open = 0
        self.is_up = True
        self.is_known_down = False
        """As the balancer's health checks have it."""
        self._env, self._costs, self._on_change = env, costs, on_change
        self._waiting = deque[Request]()
        self._prompts: list[Request] = []
        self._prompts_left_s = 0.0
        self._rate = 0.0  # tokens/s of each decoding sequence
        self._decoding = list[tuple[float, int, Request]]()
        self._clock = 0.0  # tokens that every decoding sequence has got since the start
        self._ticks = itertools.count()
        self._updated_at = 0.0
        self._plan = 0
        self._cache: OrderedDict[int, int] = OrderedDict()
        self._cache_used = 0
        self._has_shared = 0
        self.busy_s = 0.0

    @property
    def is_full(self) -> bool:
        """Whether one more request would be answered 429."""
        return self.open >= self._costs.max_queue

    def send(self, request: Request) -> simpy.Event:
        """The event of the request's end, with its Outcome."""
        request.done = self._env.event()
        if not self.is_up or self.is_full:
            request.done.succeed("full" if self.is_up else "away")
            return request.done
        self.open += 1
        self._on_change(self)
        self._advance()
        self._waiting.append(request)
        self._replan()
        return request.done

    def kill(self) -> None:
        """It loses everything: requests, cache."""
        self._advance()
        self.is_up = False
        for request in (*self._waiting, *self._prompts):
            self._end(request, "died")
        for _, _, request in self._decoding:
            self._end(request, "cut")
        self._waiting.clear()
        self._prompts.clear()
        self._decoding.clear()
        self._cache.clear()
        self._cache_used = self._has_shared = 0
        self._plan += 1

    def start(self) -> None:
        """After `kill`."""
        self._updated_at = self._env.now
        self.is_up = True

    def _end(self, request: Request, outcome: Outcome) -> None:
        self.open -= 1
        self._on_change(self)
        request.done.succeed(outcome)

    def _advance(self) -> None:
        """Bring the work done up to now."""
        passed = self._env.now - self._updated_at
        self._updated_at = self._env.now
        if passed > 0 and (self._prompts or self._decoding):
            self._prompts_left_s -= passed
            self._clock += self._rate * passed
            self.busy_s += passed

    def _replan(self) -> None:
        """Start prompts if none are being computed, and set the time of the next event."""
        if not self._prompts:
            self._begin_prompts()
        self._plan += 1
        plan = self._plan
        delays = [self._prompts_left_s] if self._prompts else []
        if self._decoding:
            delays.append((self._decoding[0][0] - self._clock) / self._rate)
        if delays:
            event = self._env.timeout(max(0.0, min(delays)))
            event.callbacks.append(lambda _: self._happen(plan))

    def _begin_prompts(self) -> None:
        """Those that fit into the batch and into one chunk; a longer one alone."""
        costs, decoding, work_s = self._costs, len(self._decoding), 0.0
        while self._waiting and len(self._prompts) + decoding < costs.max_sequences:
            request = self._waiting[0]
            request.cached = self._look_up(request)
            needs_s = (request.prompt - request.cached) * costs.prompt_s
            if self._prompts and work_s + needs_s > costs.stall_s:
                break
            self._prompts.append(self._waiting.popleft())
            work_s += needs_s
        self._rate = 1 / costs.step(decoding)
        if self._prompts:
            steps = max(1, math.ceil(work_s / costs.stall_s))
            wait_s = costs.step(decoding) / 2 if decoding else 0.0
            self._prompts_left_s = wait_s + work_s + steps * costs.step(decoding + len(self._prompts))
            self._rate = (steps + (0.5 if decoding else 0.0)) / self._prompts_left_s

    def _happen(self, plan: int) -> None:
        if plan != self._plan:
            return  # something else came first
        self._advance()
        if self._prompts and self._prompts_left_s <= 1e-9:
            for request in self._prompts:
                request.first_token_at = self._env.now
                heapq.heappush(self._decoding, (self._clock + request.answer - 1, next(self._ticks), request))
            self._prompts = []
        while self._decoding and self._decoding[0][0] <= self._clock + 1e-9:
            request = heapq.heappop(self._decoding)[2]
            self._store(request)
            self._end(request, "answered")
        self._replan()

    def _look_up(self, request: Request) -> int:
        """Tokens of whole pages that are cached; the last token of a prompt is always computed."""
        known = self._cache.get(request.conversation, 0)
        if known:
            self._cache.move_to_end(request.conversation)
        known = min(max(known, min(self._has_shared, request.shared)), request.prompt - 1)
        return known // self._costs.page_tokens * self._costs.page_tokens

    def _store(self, request: Request) -> None:
        """Keep the conversation up to the end of the answer; the least recently used ones make room."""
        self._has_shared = max(self._has_shared, request.shared)
        whole = request.prompt + request.answer
        self._cache_used += whole - self._cache.pop(request.conversation, 0)
        self._cache[request.conversation] = whole
        while self._cache_used > self._costs.cache_tokens and self._cache:
            self._cache_used -= self._cache.popitem(last=False)[1]
