"""A daemon whose engine computes on an emulated GPU: what clients and technicians see, and what a fault of the GPU does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from daemon_process import Daemon
from tiny_model import make_tiny_package

# Python runs this before anything else in a process. Only engines get the emulated GPU; one that finds the file `fault`
# removes it and has a GPU that fails from the next call on.
PATCH = """
import sys
if "youtu_edge.engine" in sys.orig_argv:
    import ctypes, pathlib
    from youtu_edge.engine.model import device_choice, gpu
    library, fault = pathlib.Path({library!r}), pathlib.Path({fault!r})
    class Emulated(gpu.Gpu):
        def after_step(self):
            if fault.exists():
                fault.unlink()
                ctypes.CDLL(str(library)).youtu_emulator_set_fault(700)
    device_choice.open_installed = lambda: Emulated(library, kind="cpu", provider="CPUExecutionProvider")
"""
QUESTION = {"prompt": "Say something", "max_tokens": 24, "temperature": 0}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_package(tmp_path_factory.mktemp("process") / "package", recipe="q4")


@pytest.fixture
def fault(tmp_path: Path, emulator_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that makes the GPU fail; engines that are started from now on compute on the emulated one."""
    folder, file = tmp_path / "patch", tmp_path / "fault"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(PATCH.format(library=str(emulator_path), fault=str(file)), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")])))
    return file


def text(daemon: Daemon) -> str:
    status, answer = daemon.post("/v1/completions", QUESTION)
    assert status == 200, answer
    return str(answer["choices"][0]["text"])


def test_answers_are_those_of_the_processor_and_the_status_names_the_gpu(
    package: Path, tmp_path: Path, fault: Path
) -> None:
    with Daemon(package, tmp_path, engine__device="cpu", model__page_tokens=16) as daemon:
        daemon.wait_ready()
        expected = text(daemon)
        assert json.loads(daemon.get("/v1/status")[1])["device"] == {"name": "cpu", "note": ""}
    with Daemon(package, tmp_path, engine__device="auto", model__page_tokens=16) as daemon:
        daemon.wait_ready()
        assert text(daemon) == expected
        status = json.loads(daemon.get("/v1/status")[1])
        assert status["device"] == {"name": "cuda", "note": "emulated GPU, compute capability 8.7, CUDA 13.0"}
        assert 'device name=cuda note="emulated GPU' in daemon.log


def test_a_fault_of_the_gpu_ends_the_engine_with_71_and_the_next_one_goes_on(
    package: Path, tmp_path: Path, fault: Path
) -> None:
    """The client sees one whole answer: what another engine would have said."""
    with Daemon(package, tmp_path, engine__device="cuda", model__page_tokens=16) as daemon:
        daemon.wait_ready()
        expected = text(daemon)
        pieces = []
        for event in daemon.stream(QUESTION, path="/v1/completions"):
            if not pieces:
                fault.touch()
            pieces += [choice["text"] for choice in event["choices"]]
        assert "".join(pieces) == expected
        assert not fault.exists()
        assert "engine_fatal exit_code=71 " in daemon.log
        assert "CUDA error 700, an illegal memory access was encountered" in daemon.log
        assert json.loads(daemon.get("/v1/status")[1])["restarts"] == 1


def test_cuda_where_there_is_no_gpu_exits_with_78_and_one_line(package: Path, tmp_path: Path) -> None:
    """And `auto`, the default, starts on the processor: every other test of a daemon does that."""
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    with Daemon(package, tmp_path, engine__device="cuda") as daemon:
        assert daemon.process.wait(60) == 78
        told = [line for line in daemon.log.splitlines() if "engine_fatal" in line]
        assert len(told) == 1
        assert "engine.device: no NVIDIA GPU was found" in told[0]
