"""A fleet behind a balancer: clients, retries, boards that die. Everything follows from the seed."""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import simpy
from fleet_simulation.board import Board, Costs, Request
from fleet_simulation.figures import Figures
from fleet_simulation.policies import make_policy
from fleet_simulation.workload import Workload

_TRIES = 3
"""At one board each, as in haproxy.cfg."""
_RETRY_AFTER_S = 5.0
"""What a client waits that was answered 429 or 503."""
_MOST_WAITS = 24
Steps = Generator[simpy.Event, Any, Any]


@dataclass(frozen=True)
class Fleet:
    """`lifetime_s`: mean time until a board dies, None: never. It is away for `away_s`, noticed after `notice_s`."""

    boards: int
    costs: Costs
    policy: str
    lifetime_s: float | None = None
    away_s: float = 60.0
    notice_s: float = 2.0


class Simulation:
    """One run. Figures count requests that begin after `warm_up_s`."""

    def __init__(self, fleet: Fleet, seed: int, warm_up_s: float = 0.0) -> None:
        self.env = simpy.Environment()
        self.figures = Figures()
        self._fleet, self._warm_up_s = fleet, warm_up_s
        self._chance = random.Random(seed)
        self.boards = [Board(self.env, number, fleet.costs, self._changed) for number in range(fleet.boards)]
        self._policy = make_policy(fleet.policy, self.boards)
        self._conversations = 0
        if fleet.lifetime_s is not None:
            for board in self.boards:
                self.env.process(self._die_now_and_then(board, fleet.lifetime_s))

    def open_loop(self, workload: Workload, conversations_per_s: float, duration_s: float) -> Figures:
        """Conversations begin at random times, whatever the fleet is able to do."""
        self.env.process(self._arrivals(workload, conversations_per_s, duration_s))
        self.env.run(until=duration_s)
        return self._finished()

    def closed_loop(self, clients: list[list[tuple[float, Request]]]) -> Figures:
        """Each client has its requests, one after the other, each after a pause in seconds."""
        processes = [self.env.process(self._client(requests)) for requests in clients]
        self.env.run(until=self.env.all_of(processes))
        return self._finished()

    def serve(self, request: Request) -> Steps:
        """One request from its client's view: retries of the balancer, waiting, its end. Returns the board or None."""
        begun_at, counts = self.env.now, self.env.now >= self._warm_up_s
        for _ in range(_MOST_WAITS):
            tried: set[int] = set()
            while len(tried) < _TRIES and (board := self._policy.choose(request, tried)) is not None:
                tried.add(board.number)
                outcome = yield board.send(request)
                if outcome in ("answered", "cut"):
                    if counts:
                        self.figures.ended(request, outcome, begun_at, self.env.now, self._fleet.costs.overhead_s)
                    return board
                if counts:
                    self.figures.retried(outcome)
            if counts:
                self.figures.rejected += 1
            yield self.env.timeout(_RETRY_AFTER_S)
        if counts:
            self.figures.failed += 1
        return None

    def _arrivals(self, workload: Workload, per_s: float, duration_s: float) -> Steps:
        while self.env.now < duration_s:
            yield self.env.timeout(self._chance.expovariate(per_s))
            self.env.process(self._conversation(workload))

    def _conversation(self, workload: Workload) -> Steps:
        self._conversations += 1
        number, chance = self._conversations, self._chance
        home, tokens = None, workload.system
        while True:
            tokens += workload.question_tokens(chance)
            request = Request(number, tokens, workload.system, workload.answer_tokens(chance), home)
            board = yield from self.serve(request)
            home = board.number if board is not None else home
            tokens += request.answer
            if workload.is_last(chance):
                return
            yield self.env.timeout(chance.expovariate(1 / workload.think_s))

    def _client(self, requests: list[tuple[float, Request]]) -> Steps:
        homes: dict[int, int] = {}
        for pause, request in requests:
            yield self.env.timeout(pause)
            request.home = homes.get(request.conversation)
            board = yield from self.serve(request)
            yield self.env.timeout(self._fleet.costs.overhead_s)
            if board is not None:
                homes[request.conversation] = board.number

    def _die_now_and_then(self, board: Board, lifetime_s: float) -> Steps:
        while True:
            yield self.env.timeout(self._chance.expovariate(1 / lifetime_s))
            board.kill()
            self.figures.deaths += 1
            self.env.process(self._notice(board))
            yield self.env.timeout(self._fleet.away_s)
            board.start()
            board.is_known_down = False
            self._changed(board)

    def _notice(self, board: Board) -> Steps:
        yield self.env.timeout(self._fleet.notice_s)
        if not board.is_up:
            board.is_known_down = True
            self._changed(board)

    def _changed(self, board: Board) -> None:
        if hasattr(self, "_policy"):
            self._policy.changed(board)

    def _finished(self) -> Figures:
        self.figures.duration_s = self.env.now - self._warm_up_s
        self.figures.busy = [board.busy_s / self.env.now for board in self.boards]
        return self.figures
