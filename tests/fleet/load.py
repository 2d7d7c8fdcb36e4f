"""The load of a fleet's tests: clients at once, whose requests are of all kinds, one after the other."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.clients import Clients, Session

CONCURRENT = 24
KINDS = ("session", "stream", "durable", "stream", "whole", "large", "stream", "whole")


def work(clients: Clients, worker: int, numbers: Iterable[int], sessions: dict[int, Session]) -> None:
    """One client: its requests one after the other; every eighth is the next turn of its session."""
    for number in numbers:
        kind = KINDS[(number // CONCURRENT + worker) % len(KINDS)]
        if kind != "session":
            clients.one(kind, number)
            continue
        try:
            if worker not in sessions:
                sessions[worker] = Session(clients, f"s{worker}")
            sessions[worker].turn(f"turn {number}")
        except (OSError, AssertionError) as error:
            clients.failures.append(f"session {number}: {error!r}")
        clients.kinds["session"] += 1
        clients.done += 1
