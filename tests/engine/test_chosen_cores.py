"""With `engine.threads: 0` the engine's threads run on the fast cores from the time the model is opened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from board_trees import A55, A76, cores, plant
from tiny_model import make_tiny_package
from youtu_edge.engine.model.placement import Placement, stay_on

CORES = os.sched_getaffinity(0)
PROGRAM = """
import json, os, sys, time
from pathlib import Path

from score import run
from youtu_edge.board_files import BoardFiles
from youtu_edge.config import Config, EngineConfig, ModelConfig
from youtu_edge.engine.model.opening import open_description, open_model

config = Config(model=ModelConfig(path=sys.argv[1]), engine=EngineConfig(threads=int(sys.argv[3])))
opened = open_model(config, open_description(config), BoardFiles(Path(sys.argv[2])))
calling = sorted(os.sched_getaffinity(0))
opened.runner.allocate_cache(16)
run(opened.runner, [1, 2, 3] * 130)

# A worker takes its name when it first runs, which may be after the others have done all the work.
tasks, workers, end = Path("/proc/self/task"), [], time.monotonic() + 30
while len(workers) < int(sys.argv[4]) and time.monotonic() < end:
    workers = [int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().strip() == "youtu-ops"]
print(json.dumps([calling, [sorted(os.sched_getaffinity(worker)) for worker in workers]]))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_package(tmp_path_factory.mktemp("cores") / "package", recipe="q4")


@pytest.mark.parametrize("threads", [0, 2])
def test_the_engine_computes_on_the_fast_cores(package: Path, tmp_path: Path, threads: int) -> None:
    """The first core of this machine is declared slow. With an explicit number of threads, all cores are used."""
    fast = sorted(CORES)[1:]
    if not fast:
        pytest.skip("one core only")
    kinds = [A55 if number not in fast else A76 for number in range(max(CORES) + 1)]
    plant(tmp_path, cores(kinds, [400 if kind == A55 else 1024 for kind in kinds]))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    expected = fast if threads == 0 else sorted(CORES)
    count = (threads or len(fast)) - 1
    command = [sys.executable, "-c", PROGRAM, str(package), str(tmp_path), str(threads), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    calling, workers = json.loads(done.stdout)
    assert calling == expected
    assert len(workers) == count
    assert all(set(cores) <= set(expected) for cores in workers)  # fewer, where others want the core of one


def test_a_system_that_refuses_the_choice_is_told_and_computes_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A core that does not exist is refused as a filter of system calls would."""
    stay_on({1023})
    assert os.sched_getaffinity(0) == CORES
    assert [record.message for record in caplog.records] == ['cores_not_chosen wanted=1023 reason="Invalid argument"']
    caplog.clear()
    stay_on(CORES)
    assert not caplog.records


def test_nobody_is_moved_off_the_chosen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """If another process moves the compute thread to another core, the engine leaves it there."""
    moved: list[object] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1022, 1023})
    monkeypatch.setattr("youtu_edge.engine.model.placement._WORKER", Path("/proc/thread-self/comm").read_text().strip())
    monkeypatch.setattr("youtu_edge.engine.model.placement._waited_ns", lambda: 0)
    placement = Placement()
    monkeypatch.setattr("youtu_edge.engine.model.placement._waited_ns", lambda: 2**62)
    monkeypatch.setattr("youtu_edge.engine.model.placement._involuntary_switches", lambda: -1)
    places = iter([0, 1] * 100)
    monkeypatch.setattr("youtu_edge.engine.model.placement._core_of", lambda _: next(places))
    monkeypatch.setattr(os, "sched_setaffinity", lambda *asked: moved.append(asked))
    placement.adjust()
    assert moved == []
    assert placement.moves == 0
