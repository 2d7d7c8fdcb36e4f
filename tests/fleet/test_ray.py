"""Ray Serve with the shipped application, on a local cluster of two nodes: which loses a replica and a node.

Ray is in an environment of its own, which ./scripts/ray-fleet makes.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from fleet.clients import BOARD, Clients, Session
from fleet.load import CONCURRENT, work
from fleet.ray_cluster import Cluster, cluster, is_installed
from front.scripted_daemon import wait_until

REQUESTS = int(os.environ.get("YOUTU_EDGE_FLEET_REQUESTS", "480"))
"""At least, until all that happens has happened; 2,000 for the figures of docs/fleet.md."""
PATIENCE_S = 240
"""Of clients, while a busy machine starts the only board."""
KILLED, LOST = "line-1-2", "line-2"
"""A board whose replica is killed, and the board of the node that is lost."""


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if not is_installed():
        pytest.skip("Ray is not installed: ./scripts/ray-fleet")
    with cluster(tmp_path_factory.mktemp("ray")) as started:
        yield started


def keys_have_homes(clients: Clients) -> bool:
    """Whether requests with the same X-Youtu-Edge-Affinity meet the same board, and others do not all."""

    def board_of(key: str) -> str:
        with clients.ask("GET", "/livez", headers={"X-Youtu-Edge-Affinity": key}) as answer:
            return str(answer.headers[BOARD])

    found = [{board_of(key) for _ in range(3)} for key in "abcdefgh"]
    return all(len(boards) == 1 for boards in found) and len(set.union(*found)) > 1


def trouble(ray: Cluster, clients: Clients) -> dict[str, float]:
    """A replica is killed, then a node is lost and comes back. How long the fleet took to grow, and to recover: s."""

    def lasts(what: str, boards: int, pid: int = 0) -> None:
        begun = time.monotonic()
        wait_until(lambda: ray.boards() == boards and ray.replica(KILLED) != pid, timeout=240)
        times[what] = round(time.monotonic() - begun, 1)

    def proceed(requests: float = REQUESTS / 6) -> None:
        some = clients.done + requests
        wait_until(lambda: clients.done >= some, timeout=300)

    times: dict[str, float] = {}
    lasts("to 3 boards", 3)
    wait_until(lambda: keys_have_homes(clients), timeout=120)
    proceed()
    lasts("replica killed", 3, ray.kill_replica(KILLED))
    proceed()
    ray.ask("remove")
    proceed(2 * CONCURRENT)  # not more: clients wait for the board of their session
    ray.ask("add")
    lasts("node back", 3)
    proceed()
    return times


def test_an_answer_passes_as_it_is(ray: Cluster) -> None:
    """Status, headers and body; a large request; where it came from."""
    clients = Clients(ray.port, PATIENCE_S)
    with clients.ask("GET", "/v1/sessions/s%40line-9") as answer:
        assert answer.status == 404
        assert json.loads(answer.read())["error"]["code"] == "elsewhere"
        assert answer.headers[BOARD] in answer.headers["Set-Cookie"]
        assert len(answer.headers.get_all("Date", [])) == 1
    with clients.ask("POST", "/chat", {"prompt": "x" * 3_000_000}) as answer:
        assert answer.status == 413
        assert json.loads(answer.read())["error"]["code"] == "body_too_large"
    clients.whole(1)
    clients.large(2)


def test_a_client_that_leaves_ends_its_request(ray: Cluster) -> None:
    """It has the first token before the last one is computed: nothing collects them."""
    clients = Clients(ray.port, PATIENCE_S)

    def cancelled() -> float:
        with clients.ask("GET", "/metrics") as answer:
            found = re.search(rb'youtu_edge_requests_total\{outcome="cancelled"\} (\S+)', answer.read())
        return float(found[1]) if found else 0.0

    before = cancelled()
    with clients.ask("POST", "/chat_stream", {"prompt": "slow cancel repeat:1000"}) as answer:
        assert next(line for line in answer if b'"text"' in line)
    wait_until(lambda: cancelled() == before + 1)


def test_the_death_of_the_only_board_fails_no_request(ray: Cluster) -> None:
    """It waits for the next board, which starts on either node."""
    clients = Clients(ray.port, PATIENCE_S)
    with clients.ask("GET", "/livez") as answer:
        ray.kill_replica(answer.headers[BOARD])
    clients.one("whole", 1)
    assert clients.failures == []


def test_nothing_fails_before_its_first_byte_while_a_replica_and_a_node_die(ray: Cluster) -> None:
    """And the fleet grows from one board to three with the load, and shrinks to one without it."""
    clients, sessions, over = Clients(ray.port, PATIENCE_S), dict[int, Session](), threading.Event()
    assert ray.boards() == 1
    with ThreadPoolExecutor(CONCURRENT + 1) as pool:
        troubles = pool.submit(trouble, ray, clients)
        troubles.add_done_callback(lambda _: over.set())
        workers: list[Future[None]] = []
        for worker in range(CONCURRENT):
            numbers = itertools.count(worker, CONCURRENT)
            needed = itertools.takewhile(lambda number: number < REQUESTS or not over.is_set(), numbers)
            workers.append(pool.submit(work, clients, worker, needed, sessions))
        for future in (*workers, troubles):
            future.result()
    for session in sessions.values():
        assert session.kept() == session.prompts
    begun = time.monotonic()
    wait_until(lambda: ray.boards() == 1, timeout=240)
    times = troubles.result() | {"to 1 board": round(time.monotonic() - begun, 1)}
    print(
        f"\nRay Serve: {clients.kinds.total()} requests {dict(clients.kinds)}, served {dict(clients.served)}, "
        f"cut {dict(clients.cut)}, elsewhere {dict(clients.elsewhere)}, seconds {times}"
    )
    assert clients.failures == []
    assert set(clients.cut) <= {KILLED, LOST}, "streams are cut on the killed boards only"
    assert set(clients.served) == {"line-1", KILLED, LOST}
