"""The doctor on a healthy installation and on sick ones: each sickness is named, and nothing else fails."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_process import Daemon
from process.doctors import CHECKS, diagnose, settings_of
from youtu_edge.config import Config, ModelConfig, ServiceConfig, StorageConfig
from youtu_edge.doctor import permissions, service
from youtu_edge.doctor.finding import Finding, worst
from youtu_edge.doctor.surroundings import Surroundings
from youtu_edge.front.http.listener import open_listener

MIB = 1024 * 1024
DAEMON = Path(__file__).parents[2] / "daemon"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and be somebody else")


@pytest.fixture
def settings(tiny_package: Path, tmp_path: Path) -> dict[str, object]:
    return settings_of(tiny_package, tmp_path)


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A directory that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_healthy_installation(settings: dict[str, object], tmp_path: Path) -> None:
    """Every examination is made and none fails; the clock and systemd are those of the machine that tests."""
    (tmp_path / "edge.yaml").write_text("engine: {threads: 0}\n")
    found = diagnose(settings, "--config", str(tmp_path / "edge.yaml"))
    assert (found.code, found.failed) == (0, set())
    assert list(dict.fromkeys(one["check"] for one in found.findings)) == list(CHECKS)
    assert {one["check"] for one in found.findings if one["level"] == "warn"} <= {"clock", "service", "board", "memory"}
    assert re.match(r"operators for [\w-]+ \(this processor can ", found.messages("libraries", "ok")[1])
    assert "onnxruntime " in found.messages("libraries", "ok")[2]
    assert "the engine computes in " in found.messages("processor", "ok")[0]
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
    assert 'make one with "youtu-edge keys add NAME"' in said


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
    assert "service.host 192.0.2.7 is no address of this machine" in found.sickness("port")


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
        ("70M", r"the budget of 70 MiB is too small for this model: its weights .* take \d+ MiB"),
        ("900T", "memory.limit 900T is more than the .* that there are"),
    ],
)
def test_a_budget_that_does_not_fit(settings: dict[str, object], limit: str, said: str) -> None:
    assert re.match(said, diagnose(settings | {"memory.limit": limit}).sickness("memory"))


def test_a_limit_of_the_process_on_its_memory(settings: dict[str, object]) -> None:
    """The front would start, the engine's libraries would not fit."""
    size = 90 * MIB
    found = diagnose(settings, before=lambda: resource.setrlimit(resource.RLIMIT_DATA, (size, size)))
    assert found.failed >= {"memory"}
    assert "and that limit is 90 MiB; raise it (LimitDATA= of the unit, ulimit -d)" in found.messages("memory", "fail")[0]


@needs_root
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("size=8m", "only 8.0 MiB are free: nothing new can be kept"),
        ("size=64m,nr_inodes=20", "only 19 inodes are free (`df -i`): nothing new can be kept"),
        ("ro", "the file system is read-only (`dmesg` may say why): nothing new can be kept"),
    ],
)
def test_a_disk_that_is_full(settings: dict[str, object], tmp_path: Path, options: str, said: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        found = diagnose(settings | {"storage.directory": disk})
    finally:
        subprocess.run(["umount", disk], check=True)
    assert found.failed >= {"disk"}
    assert found.failed <= {"disk", "permissions"}  # of a read-only one
    assert found.messages("disk", "fail")[0].startswith(f"storage.directory {disk}: {said}")


def test_a_data_directory_that_cannot_be_made(settings: dict[str, object], tmp_path: Path) -> None:
    said = diagnose(settings | {"storage.directory": tmp_path / "a/b"}).sickness("disk")
    assert said.startswith(f"storage.directory {tmp_path}/a/b cannot be made: there is no {tmp_path}/a; make it, or ")


@needs_root
def test_files_that_the_user_of_the_service_may_not_read_or_write(tiny_package: Path, open_home: Path) -> None:
    package, data = shutil.copytree(tiny_package, open_home / "package"), open_home / "data"
    for path in (package, *package.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    data.mkdir()
    config = Config(
        model=ModelConfig(path=str(package)),
        storage=StorageConfig(directory=str(data)),
        service=ServiceConfig(keys_file=str(open_home / "keys.json")),
    )

    def found() -> list[Finding]:
        return list(permissions.examine(Surroundings(config, user="nobody")))

    shutil.chown(data, "nobody")
    assert found() == [Finding("ok", "nobody may read and write what the service needs")]
    (package / "weights.bin").chmod(0o600)
    weights, cure = package / "weights.bin", "or move it elsewhere"
    assert found() == [
        Finding(
            "fail",
            f"{weights}: nobody may not read it: the model cannot be loaded; {weights} is root's, mode 0600: "
            f"sudo chown -R nobody: {weights}, {cure}",
        )
    ]
    weights.chmod(0o644)
    package.chmod(0o700)  # one line, though no file in it can be read
    (said,) = found()
    assert said.message.endswith(f"{package} is root's, mode 0700: sudo chown -R nobody: {package}, {cure}")
    package.chmod(0o755)
    (data / "conversations.db").touch()  # of a daemon that root ran by hand
    (data / "conversations.db").chmod(0o644)
    (said,) = found()
    assert said.message.startswith(f"{data}/conversations.db: nobody may not write it: everything is kept in memory")
    shutil.chown(data, "root")
    data.chmod(0o755)
    assert found()[0].message.startswith(f"{data}: nobody may not write it: everything is kept in memory")
    assert {one.level for one in found()} == {"fail"}


@needs_root
def test_a_user_that_does_not_exist(settings: dict[str, object]) -> None:
    assert "there is no user youtu-nobody" in diagnose(settings, "--user", "youtu-nobody").sickness("permissions")


def test_an_operator_library_that_was_not_copied_whole(settings: dict[str, object], tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.cc", "*.h", "*.inc")
    library = shutil.copytree(DAEMON, tmp_path / "daemon", ignore=ignored) / "youtu_edge/ops/libyoutu_edge_ops.so"
    os.truncate(library, 1000)
    # An editable installation would find its own modules first.
    (tmp_path / "daemon/sitecustomize.py").write_text(
        "import sys\nsys.meta_path = [one for one in sys.meta_path if 'ScikitBuild' not in type(one).__name__]\n"
    )
    said = diagnose(settings, environment={"PYTHONPATH": str(tmp_path / "daemon")}).sickness("libraries")
    assert re.match(r"operators (ended the process that loaded it \(SIGBUS\)|cannot be loaded: OSError)", said)
    assert "install youtu-edge again" in said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "raise ImportError('libgomp.so.1: cannot open shared object file')",
            "onnxruntime cannot be loaded: ImportError: lib",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
            "onnxruntime ended the process that loaded it (SIGILL); ",
        ),
    ],
)
def test_a_library_that_is_not_for_this_machine(
    settings: dict[str, object], tmp_path: Path, source: str, said: str
) -> None:
    """It says why, or kills the process."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/onnxruntime.py").write_text(source)
    found = diagnose(settings, environment={"PYTHONPATH": f"{tmp_path}/modules"})
    assert found.failed == {"libraries"}
    assert found.messages("libraries", "fail")[0].startswith(said)


def test_a_library_that_the_doctor_itself_needs(settings: dict[str, object], tmp_path: Path) -> None:
    """One line, as every error that is expected."""
    (tmp_path / "msgspec.py").write_text("raise ImportError('No module named _core')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "youtu_edge", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    said = "youtu-edge: No module named _core: this installation is not complete; install youtu-edge again\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


RUNNING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "ExecMainStatus": "0",
    "NRestarts": "0",
    "UnitFileState": "enabled",
    "StatusText": "serving tiny",
}


@pytest.mark.parametrize(
    ("state", "level", "said"),
    [
        ({}, "ok", "youtu-edge.service is active: serving tiny"),
        (
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "78"},
            "fail",
            "youtu-edge.service has failed: the configuration or the model package cannot be used (exit code 78,",
        ),
        (
            {"ActiveState": "failed", "Result": "oom-kill"},
            "fail",
            "youtu-edge.service has failed: the memory was not enough",
        ),
        ({"NRestarts": "4"}, "warn", "the service was restarted 4 times"),
        ({"ActiveState": "inactive", "StatusText": ""}, "warn", "youtu-edge.service is inactive; sudo systemctl start"),
        ({"UnitFileState": "disabled"}, "warn", "the service is not started at boot; sudo systemctl enable youtu-edge"),
        (
            {"LoadState": "not-found", "ActiveState": "inactive"},
            "warn",
            "youtu-edge.service is not installed; sudo youtu-edge install-service",
        ),
    ],
)
def test_what_systemd_says_of_the_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: dict[str, str], level: str, said: str
) -> None:
    """A systemctl that prints what the real one does (`systemctl show` of systemd 252)."""
    lines = "\n".join(f"{key}={value}" for key, value in (RUNNING | state).items())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    (tmp_path / "bin/systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    found = list(service.examine(Surroundings(Config())))
    assert worst(found) == level
    assert [one.message.startswith(said) for one in found if one.level == level] == [True]


def test_a_clock_that_was_set_back(settings: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "data/conversations.db").touch()
    os.utime(tmp_path / "data/conversations.db", (0, time.time() + 40 * 86400))
    said = diagnose(settings).sickness("clock", "warn")
    assert said.startswith(f"{tmp_path}/data/conversations.db is of ")
    assert "the clock was set back, or is wrong" in said
