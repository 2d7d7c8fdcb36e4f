"""When another process competes for the calling thread's core, the thread moves and a worker shares that core instead."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ops.operators import OneNode, library
from ops.test_linear import activations, in_order, matrix
from youtu_edge.engine.model.placement import Placement

CORES = sorted(os.sched_getaffinity(0))


@pytest.fixture
def node() -> Iterator[OneNode]:
    """A node that computes with one worker."""
    if len(CORES) < 2:
        pytest.skip("one core only")
    weights, x = matrix(3, 1500, 1024, 4, 128, "zero_points"), activations(4, 3, 1024)
    yield OneNode("Linear", in_order("x", x, weights), {"N": 1500, "bits": 4, "block_size": 128}, threads=2)
    for task in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(task), CORES)
    library().youtu_edge_ops_set_threads(len(CORES), 200)


def test_a_busy_core_is_left_to_a_worker(node: OneNode) -> None:
    expected = node.run()
    placement = Placement()
    taken, free = CORES[:2]
    os.sched_setaffinity(0, {taken})  # where the scheduler happened to put them
    for worker in workers():
        os.sched_setaffinity(int(worker), {free})
    process = subprocess.Popen([sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{taken}}})\nwhile True: pass"])
    try:
        deadline = time.monotonic() + 60
        while not placement.moves and time.monotonic() < deadline:
            assert np.array_equal(node.run(), expected)
            placement.adjust()
    finally:
        process.kill()
        process.wait()
    assert placement.moves == 1
    assert os.sched_getaffinity(0) == set(CORES) - {taken}
    assert {taken} in [os.sched_getaffinity(int(worker)) for worker in workers()]


def workers() -> list[str]:
    return [task for task in os.listdir("/proc/self/task") if name_of(task) == "youtu-ops"]


def name_of(task: str) -> str:
    return Path(f"/proc/self/task/{task}/comm").read_text().strip()


def test_an_interruption_of_an_instant_moves_nobody(node: OneNode, monkeypatch: pytest.MonkeyPatch) -> None:
    waited, switches = iter(range(0, 10**9, 900_000)), iter(range(10**9))
    monkeypatch.setattr("youtu_edge.engine.model.placement._waited_ns", lambda: next(waited))
    monkeypatch.setattr("youtu_edge.engine.model.placement._involuntary_switches", lambda: next(switches))
    placement = Placement()
    for _ in range(20):
        placement.adjust()
    assert placement.moves == 0
    assert os.sched_getaffinity(0) == set(CORES)


def test_a_system_that_forbids_it_is_left_alone(node: OneNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    placement = Placement()
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    monkeypatch.setattr("youtu_edge.engine.model.placement._waited_ns", lambda: 2**62)
    monkeypatch.setattr("youtu_edge.engine.model.placement._involuntary_switches", lambda: -1)
    node.run()
    placement.adjust()
    placement.adjust()
    assert placement.moves == 0
