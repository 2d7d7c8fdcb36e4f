"""The doctor on a healthy installation and on faulty ones: configuration, model, port, memory. Nothing else fails."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon_process import Daemon
from process.doctors import CHECKS, diagnose
from youtu_edge.front.http.listener import open_listener

MIB = 1024 * 1024


def test_a_healthy_installation(settings: dict[str, object], tmp_path: Path) -> None:
    """Every examination is made and none fails; the clock and systemd are those of the machine that tests."""
    (tmp_path / "edge.yaml").write_text("engine: {threads: 0}\n")
    found = diagnose(settings, "--config", str(tmp_path / "edge.yaml"))
    assert (found.code, found.failed) == (0, set())
    assert list(dict.fromkeys(one["check"] for one in found.findings)) == list(CHECKS)
    assert {one["check"] for one in found.findings if one["level"] == "warn"} <= {"clock", "service", "board", "memory"}
    assert re.match(r"operators for [\w.-]+ \(this processor supports ", found.messages("libraries", "ok")[1])
    assert "onnxruntime " in found.messages("libraries", "ok")[2]
    assert "the engine uses " in found.messages("processor", "ok")[0]
    assert found.messages("configuration", "ok") == [f"{tmp_path}/edge.yaml"]
    assert "tiny, q4, " in found.messages("model", "ok")[0]
    assert "budget of the daemon 1.0 GiB" in found.messages("memory", "ok")[0]


def test_it_prints_one_line_for_each_finding_and_the_exit_code_tells_the_worst(settings: dict[str, object]) -> None:
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "youtu_edge", "doctor", *words]
    healthy = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (healthy.returncode, healthy.stderr) == (0, "")
    assert all(re.match(r"(ok  |warn)  \w+ +\S", line) for line in healthy.stdout.splitlines())
    sick = subprocess.run([*command, "--set", "model.path=/nowhere"], capture_output=True, text=True, check=False)
    assert sick.returncode == 1
    assert "fail  model          /nowhere: no such directory; install a model (youtu-edge model install" in sick.stdout


def test_a_mistake_in_the_configuration(settings: dict[str, object], tmp_path: Path) -> None:
    """What does not depend on it is examined all the same."""
    file = tmp_path / "edge.yaml"
    file.write_text("engine:\n  threds: 4\n")
    found = diagnose(settings, "--config", str(file))
    assert found.sickness("configuration") == (
        f'{file}:2: key "engine.threds": unknown; did you mean "engine.threads"?; nothing that depends on it was examined'
    )
    assert {one["check"] for one in found.findings} == {"configuration", "libraries", "gpu", "service"}


def test_a_configuration_file_that_is_not_there(settings: dict[str, object], tmp_path: Path) -> None:
    assert f"{tmp_path}/none.yaml" in diagnose(settings, "--config", str(tmp_path / "none.yaml")).sickness("configuration")


def test_other_machines_could_use_it_without_a_key(settings: dict[str, object]) -> None:
    said = diagnose(settings | {"service.host": "0.0.0.0"}).sickness("configuration")
    assert 'create one with "youtu-edge keys add NAME"' in said


def test_a_certificate_that_cannot_be_used(settings: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "tls.pem").write_text("no certificate")
    found = diagnose(settings | {"service.tls_certificate": tmp_path / "tls.pem", "service.tls_key": tmp_path / "tls.pem"})
    assert f"service.tls_certificate {tmp_path}/tls.pem" in found.sickness("configuration")


def test_a_file_that_is_no_package(settings: dict[str, object], tmp_path: Path) -> None:
    gguf = tmp_path / "model.gguf"
    gguf.write_bytes(b"GGUF" + bytes(100))
    assert f"youtu-export gguf {gguf} OUT" in diagnose(settings | {"model.path": gguf}).sickness("model")


@pytest.mark.parametrize(("name", "sign"), [("tokenizer.json", "sha256"), ("weights.bin", "truncated")])
def test_a_damaged_package(settings: dict[str, object], tiny_package: Path, tmp_path: Path, name: str, sign: str) -> None:
    """A flipped bit in a small file; of the weights, that there are too few."""
    package = shutil.copytree(tiny_package, tmp_path / "package")
    data = bytearray((package / name).read_bytes())
    data[len(data) // 2] ^= 1
    (package / name).write_bytes(data if sign == "sha256" else data[:-1])
    said = diagnose(settings | {"model.path": package}).sickness("model")
    assert said.startswith(f"{package}/{name}: ")
    assert sign in said


def test_a_link_to_a_version_that_is_gone(settings: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to("versions/gone")
    said = diagnose(settings | {"model.path": tmp_path / "current"}).sickness("model")
    assert "a link to versions/gone, which does not exist" in said


def test_a_port_that_another_program_has(settings: dict[str, object]) -> None:
    with open_listener("127.0.0.1", 0) as other:
        port = other.getsockname()[1]
        said = diagnose(settings | {"service.port": port}).sickness("port")
    assert f"127.0.0.1:{port} is in use by " in said
    assert f"(pid {os.getpid()}); stop it or change service.port" in said


def test_an_address_that_this_machine_does_not_have(settings: dict[str, object]) -> None:
    found = diagnose(settings | {"service.host": "192.0.2.7", "service.allow_unauthenticated": "true"})
    assert "service.host 192.0.2.7 is not an address of this machine" in found.sickness("port")


def test_a_daemon_that_runs_is_no_sickness_and_one_that_hangs_is_named(
    settings: dict[str, object], tiny_package: Path, tmp_path: Path
) -> None:
    with Daemon(tiny_package, tmp_path) as daemon:
        daemon.wait_ready()
        found = diagnose(settings | {"service.port": daemon.port})
        assert found.failed == set()
        assert f"(pid {daemon.process.pid}) runs and is ready" in found.messages("port", "ok")[0]
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            said = diagnose(settings | {"service.port": daemon.port}).sickness("port", "warn")
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        assert "is not ready: it does not answer" in said


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("70M", r"the budget of 70 MiB is too small for this model: its weights .* need \d+ MiB"),
        ("900T", "memory.limit 900T exceeds the .* that this machine allows"),
    ],
)
def test_a_budget_that_does_not_fit(settings: dict[str, object], limit: str, said: str) -> None:
    assert re.match(said, diagnose(settings | {"memory.limit": limit}).sickness("memory"))


def test_a_limit_of_the_process_on_its_memory(settings: dict[str, object]) -> None:
    """The front would start, the engine's libraries would not fit."""
    size = 90 * MIB
    found = diagnose(settings, before=lambda: resource.setrlimit(resource.RLIMIT_DATA, (size, size)))
    assert found.failed >= {"memory"}
    assert "but that limit is 90 MiB; raise it (LimitDATA= of the unit, ulimit -d)" in found.messages("memory", "fail")[0]
