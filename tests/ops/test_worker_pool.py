"""The operators' threads: results do not depend on which thread computed them, and no call waits for a stalled worker."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ops import reference
from ops.operators import OneNode, library
from ops.test_linear import activations, in_order, matrix, same_bits

SIZES = {"N": 1500, "bits": 4, "block_size": 128}


@pytest.fixture(autouse=True)
def default_threads() -> Iterator[None]:
    yield
    library().youtu_edge_ops_set_threads(len(os.sched_getaffinity(0)), 200)


def workers() -> list[int]:
    """Thread ids of the helpers of this process."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(task.name) for task in tasks if (task / "comm").read_text().strip() == "youtu-ops"]


@contextmanager
def busy(cpu: int) -> Iterator[None]:
    """Another process that takes all of one core."""
    process = subprocess.Popen([sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_more_threads_than_cores_compute_the_same_bits() -> None:
    """Eight threads, most of which are stalled in the middle of a task at any time."""
    weights, x = matrix(1, 1500, 512, 4, 128, "zero_points"), activations(2, 5, 512)
    expected = reference.linear(x, **weights, n=1500, bits=4, block_size=128)
    node = OneNode("Linear", in_order("x", x, weights), SIZES, threads=8)
    with busy(min(os.sched_getaffinity(0))):
        for _ in range(300):
            assert same_bits(node.run(), expected)


def test_a_worker_that_stands_still_is_not_waited_for() -> None:
    """Workers on a core that another process has, with the lowest priority there is: their tasks are done by the caller."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("one core only")
    weights, x = matrix(3, 1500, 1024, 4, 128, "zero_points"), activations(4, 3, 1024)
    expected = reference.linear(x, **weights, n=1500, bits=4, block_size=128)
    node = OneNode("Linear", in_order("x", x, weights), SIZES, threads=2)
    node.run()
    slow = workers()
    assert slow
    try:
        os.sched_setaffinity(0, {cpus[1]})
        for worker in slow:
            os.sched_setaffinity(worker, {cpus[0]})
            os.sched_setscheduler(worker, os.SCHED_IDLE, os.sched_param(0))
        with busy(cpus[0]):
            for _ in range(300):
                assert same_bits(node.run(), expected)
    finally:
        os.sched_setaffinity(0, set(cpus))
        for worker in slow:
            os.sched_setaffinity(worker, set(cpus))
            os.sched_setscheduler(worker, os.SCHED_OTHER, os.sched_param(0))


def test_sessions_of_several_threads_share_the_workers() -> None:
    """The second caller computes alone and does not wait."""
    from concurrent.futures import ThreadPoolExecutor

    weights = matrix(5, 900, 512, 4, 32, "minimums")
    inputs = [activations(seed, 3, 512) for seed in range(4)]
    sizes = {"N": 900, "bits": 4, "block_size": 32}
    nodes = [OneNode("Linear", in_order("x", x, weights), sizes, threads=3) for x in inputs]
    expected = [reference.linear(x, **weights, n=900, bits=4, block_size=32) for x in inputs]

    def repeat(index: int) -> bool:
        return all(same_bits(nodes[index].run(), expected[index]) for _ in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert np.all(list(pool.map(repeat, range(4))))


def test_a_session_may_go_while_a_worker_is_late() -> None:
    """Sessions made, run and dropped at once, with more threads than cores: no thread reads freed weights."""
    weights, x = matrix(6, 9000, 1024, 4, 128, "zero_points"), activations(7, 1, 1024)
    sizes = SIZES | {"N": 9000}
    with busy(min(os.sched_getaffinity(0))):
        for _ in range(40):
            OneNode("Linear", in_order("x", x, weights), sizes, threads=6).run()
