"""How a balancer chooses a board, as nginx and HAProxy do it. Boards that its health checks hold for away are left out."""

from __future__ import annotations

import bisect
import hashlib
import heapq
import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from fleet_simulation.board import Board, Request

_POINTS = 40
"""Of each board on the ring."""


class Policy(Protocol):
    """Chooses among boards."""

    name: str

    def choose(self, request: Request, tried: Collection[int]) -> Board | None:
        """A board that is not in `tried`, or None if there is none."""

    def changed(self, board: Board) -> None:
        """The number of its open requests, or what the health checks say, has changed."""


def _is_candidate(board: Board, tried: Collection[int]) -> bool:
    return not board.is_known_down and not board.is_full and board.number not in tried


class RoundRobin:
    """One after the other."""

    name = "round robin"

    def __init__(self, boards: Sequence[Board]) -> None:
        self._boards = boards
        self._next = 0

    def choose(self, request: Request, tried: Collection[int]) -> Board | None:
        """The next one in the list."""
        for _ in self._boards:
            board = self._boards[self._next]
            self._next = (self._next + 1) % len(self._boards)
            if _is_candidate(board, tried):
                return board
        return None

    def changed(self, board: Board) -> None:
        """Of no interest."""


class LeastConnections:
    """The board with the fewest open requests; among equals the one that has waited longest."""

    name = "least connections"

    def __init__(self, boards: Sequence[Board]) -> None:
        self._ticks = itertools.count()
        self._current = dict[int, int]()
        self._heap = list[tuple[int, int, Board]]()
        for board in boards:
            self.changed(board)

    def changed(self, board: Board) -> None:
        """Entries of the heap are not moved: newer ones replace them."""
        tick = next(self._ticks)
        self._current[board.number] = tick
        heapq.heappush(self._heap, (board.open, tick, board))

    def choose(self, request: Request, tried: Collection[int]) -> Board | None:
        """Boards that cannot be chosen now stay in the heap."""
        aside, found = [], None
        while self._heap:
            entry = heapq.heappop(self._heap)
            if self._current[entry[2].number] != entry[1]:
                continue
            aside.append(entry)
            if _is_candidate(entry[2], tried):
                found = entry[2]
                break
        for entry in aside:
            heapq.heappush(self._heap, entry)
        return found


class ConsistentHash:
    """By the conversation, on a ring: a board that leaves moves only its own conversations."""

    name = "consistent hash"

    def __init__(self, boards: Sequence[Board]) -> None:
        points = sorted((_hash(f"{board.number}/{point}"), board.number) for board in boards for point in range(_POINTS))
        self._places = [place for place, _ in points]
        self._owners = [owner for _, owner in points]
        self._boards = boards

    def choose(self, request: Request, tried: Collection[int]) -> Board | None:
        """The first one behind the conversation's place that can be chosen."""
        begin = bisect.bisect(self._places, _hash(f"conversation {request.conversation}"))
        for index in _around(begin, len(self._owners)):
            board = self._boards[self._owners[index]]
            if _is_candidate(board, tried):
                return board
        return None

    def changed(self, board: Board) -> None:
        """Of no interest."""


class Affinity:
    """What belongs to a board goes there, by header, cookie or id; everything else by another policy."""

    def __init__(self, boards: Sequence[Board], other: Policy) -> None:
        self.name = f"{other.name}, affinity"
        self._boards = boards
        self._other = other

    def choose(self, request: Request, tried: Collection[int]) -> Board | None:
        """While its board is away, another one serves the request."""
        if request.home is not None and _is_candidate(home := self._boards[request.home], tried):
            return home
        return self._other.choose(request, tried)

    def changed(self, board: Board) -> None:
        """For the other policy."""
        self._other.changed(board)


def make_policy(name: str, boards: Sequence[Board]) -> Policy:
    """By one of NAMES."""
    policy: Policy
    for kind in (RoundRobin, LeastConnections, ConsistentHash):
        if name == kind.name:
            return kind(boards)
    policy = LeastConnections(boards)
    affinity = Affinity(boards, policy)
    if name != affinity.name:
        raise ValueError(f"{name!r} is not a policy; one of: {', '.join(NAMES)}")
    return affinity


NAMES = (RoundRobin.name, LeastConnections.name, ConsistentHash.name, f"{LeastConnections.name}, affinity")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _around(begin: int, count: int) -> Iterable[int]:
    return ((begin + offset) % count for offset in range(count))
