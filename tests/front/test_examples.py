"""The examples for applications on the device do what they say, against a real front."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from front.scripted_daemon import ROOT, Daemon, running

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running() as started:
        yield started.wait_ready()


@pytest.fixture(scope="module")
def sensor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler")
    program = tmp_path_factory.mktemp("sensor") / "sensor"
    options = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1"]
    subprocess.run([compiler, *options, "-o", str(program), str(EXAMPLES / "sensor.c")], check=True)
    return program


def test_the_c_example_prints_the_answer(daemon: Daemon, sensor: Path) -> None:
    prompt = 'the tank "A" is at 71 °C\n你好 back\\slash\ttab'
    command = [str(sensor), "127.0.0.1", str(daemon.port), prompt]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stdout.decode()) == (0, prompt + "\n"), done.stderr


def test_the_c_example_tells_what_went_wrong(daemon: Daemon, sensor: Path) -> None:
    for port, prompt, message in ((daemon.port, "a long prompt", "do not fit"), (1, "x", "cannot connect")):
        command = [str(sensor), "127.0.0.1", str(port), prompt]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 1
        assert message in done.stderr


def test_the_python_example_talks_in_a_session(daemon: Daemon) -> None:
    command = [sys.executable, str(EXAMPLES / "talk.py"), f"127.0.0.1:{daemon.port}", "python"]
    done = subprocess.run(
        command, input="my name is Ada\nrecall\n", capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout == "my name is Ada\nmy name is Ada|my name is Ada|recall\n", done.stderr
    done = subprocess.run(command, input="a long prompt\n", capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "do not fit" in done.stderr


def test_the_python_example_interrupts_on_ctrl_c(daemon: Daemon) -> None:
    """The session holds what was printed (and at most the piece that was about to be), and the conversation goes on."""
    command = [sys.executable, str(EXAMPLES / "talk.py"), f"127.0.0.1:{daemon.port}", "interrupted"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as talk:
        assert talk.stdin
        assert talk.stdout
        talk.stdin.write("slow repeat:50\n")
        talk.stdin.flush()
        begun = talk.stdout.read(5)
        talk.send_signal(signal.SIGINT)
        rest = talk.stdout.readline()
        assert rest.endswith(" …\n")
        spoken = begun + rest.removesuffix(" …\n")
        messages = json.loads(daemon.request("GET", "/v1/sessions/interrupted")[2])["messages"]
        assert messages[1]["content"][: len(spoken)] == spoken
        assert len(messages[1]["content"]) <= len(spoken) + 1
        answer, _ = talk.communicate("and now\n", timeout=20)
        assert answer == "and now\n"
        assert talk.returncode == 0
