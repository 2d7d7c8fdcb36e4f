"""The service under systemd in an emulated ARM64 machine, from the wheelhouse to a clean stop: `scripts/test-arm64 vm`.

Takes about ten minutes, so its name keeps it out of `scripts/test`. Each test continues from the state of the previous one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from arm64.machine_image import HTTP_PORT, MachineImage
from arm64.virtual_machine import VirtualMachine, why_not
from daemon_process import Daemon
from systemd.appliance import PACKAGE, SERVICE, Appliance
from systemd.machine import wait_until
from tiny_model import make_tiny_package
from wheelhouse import ROOT, run_script

PIP = "/opt/youtu-edge-pip/bin/pip"
COMMAND = "/opt/youtu-edge-pip/bin/youtu-edge"
QUESTION = {"prompt": "Why is the sky blue?", "max_new_tokens": 40, "temperature": 0}
EMULATED_S = 300
"""Long enough for what takes a few seconds on a board."""


class Board(Appliance):
    """The service in a virtual machine. It listens on the guest's 127.0.0.1:8080, to which `port` is forwarded."""

    def __init__(self, machine: VirtualMachine) -> None:
        self.machine, self.port = machine, machine.port  # type: ignore[assignment]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in four bits, exported here."""
    return make_tiny_package(tmp_path_factory.mktemp("tiny") / "package", recipe="q4")


@pytest.fixture(scope="module")
def answer(package: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The answer to the question from a daemon on this machine's processor."""
    with Daemon(package, tmp_path_factory.mktemp("here")) as daemon:
        daemon.wait_ready()
        return str(daemon.post("/chat", QUESTION)[1]["response"])


@pytest.fixture(scope="module")
def board(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """Debian 12 without our software and without a network; /wheelhouse and /package are on its disk."""
    if reason := why_not():
        pytest.skip(reason)
    wheelhouse, image = ROOT / "build/arm64/wheelhouse", MachineImage(ROOT / "build/arm64/machine")
    made = run_script("make_wheelhouse", "--platform", "aarch64", "--python", "3.11", str(wheelhouse))
    assert made.returncode == 0, made.stdout + made.stderr
    image.make({wheelhouse: "wheelhouse", package: "package"})
    cpu = os.environ.get("QEMU_CPU", "cortex-a76")
    with VirtualMachine(image, tmp_path_factory.mktemp("machine"), cpu) as machine:
        yield Board(machine)


def test_it_boots_without_a_way_out(board: Board) -> None:
    """An ARM64 kernel, systemd as the first process, and no route to anywhere."""
    assert board.machine.run("uname", "-m").stdout.strip() == "aarch64"
    assert board.machine.run("cat", "/proc/1/comm").stdout.strip() == "systemd"
    assert board.machine.run("ip", "route", "show", "default").stdout.strip() == ""
    assert board.machine.run("sh", "-c", "command -v youtu-edge", check=False).returncode != 0


def test_pip_installs_the_wheelhouse_and_the_service_waits_for_a_model(board: Board) -> None:
    """By the commands of docs/operations.md."""
    board.machine.run("python3", "-m", "venv", "/opt/youtu-edge-pip", timeout_s=900)
    board.machine.run(PIP, "install", "--quiet", "--no-index", "--find-links", "/wheelhouse", "youtu-edge", timeout_s=1800)
    said = board.machine.run(COMMAND, "install-service", "--board", "generic", timeout_s=EMULATED_S).stdout
    assert "no model yet" in said, said
    assert board.machine.run("systemctl", "is-enabled", SERVICE).stdout.strip() == "enabled"
    assert board.show("ActiveState") == "inactive"


def test_the_service_gets_ready_and_answers_as_another_processor_does(board: Board, answer: str) -> None:
    """`systemctl start` returns when a token was produced; the text is that of x86-64."""
    board.machine.run("cp", "-r", "/package", PACKAGE)
    board.machine.run("chown", "-R", "youtu-edge:", PACKAGE)
    board.write_config(service__port=HTTP_PORT, service__step_deadline_s=60, service__load_deadline_s=EMULATED_S)
    board.machine.run(COMMAND, "install-service", "--no-start", timeout_s=EMULATED_S)
    assert board.systemctl("start", check=False, timeout_s=2 * EMULATED_S) == 0, board.journal()
    assert board.get("/readyz")[0] == 200
    status, said = board.ask(QUESTION)
    assert (status, said.get("response")) == (200, answer), board.journal()


def test_the_doctor_finds_nothing_that_fails(board: Board) -> None:
    done = board.machine.run(COMMAND, "doctor", check=False, timeout_s=EMULATED_S)
    assert done.returncode == 0, done.stdout


def test_a_killed_engine_is_replaced(board: Board, answer: str) -> None:
    """By the same front, which answers as before."""
    front, engine = board.front_pid, board.engine_pid()
    board.kill("KILL", engine)
    assert board.engine_pid(other_than=engine) != engine
    wait_until(lambda: board.get("/readyz")[0] == 200, EMULATED_S, board.journal)
    status, said = board.ask(QUESTION)
    assert (status, said.get("response")) == (200, answer), board.journal()
    assert (board.front_pid, board.show("NRestarts")) == (front, "0")
    assert "engine_died" in board.journal()


def test_a_stop_is_clean(board: Board) -> None:
    """Nothing had to be killed, and nothing is left."""
    cursor = board.cursor()
    board.systemctl("stop", timeout_s=EMULATED_S)
    log = board.journal(cursor)
    assert (board.show("ActiveState"), board.show("Result")) == ("inactive", "success"), log
    assert "SIGKILL" not in log, log
    assert board.machine.run("pgrep", "-f", "youtu_[e]dge", check=False).stdout.strip() == ""
