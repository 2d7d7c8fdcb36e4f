"""The doctor on a machine with a fault: its disk, its users, its libraries, the unit of systemd, the clock."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from process.doctors import diagnose
from youtu_edge.config import Config, ModelConfig, ServiceConfig, StorageConfig
from youtu_edge.doctor import permissions, service
from youtu_edge.doctor.finding import Finding, worst
from youtu_edge.doctor.surroundings import Surroundings

DAEMON = Path(__file__).parents[2] / "daemon"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and be somebody else")


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A directory that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@needs_root
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("size=8m", "only 8.0 MiB free: nothing new can be stored"),
        ("size=64m,nr_inodes=20", "only 19 inodes free (`df -i`): nothing new can be stored"),
        ("ro", "the file system is read-only (`dmesg` may say why): nothing new can be stored"),
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
    assert said.startswith(f"storage.directory {tmp_path}/a/b cannot be created: there is no {tmp_path}/a; create it, or ")


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
            f"{weights}: nobody cannot read it: the model cannot be loaded; {weights} is owned by root, mode 0600: "
            f"sudo chown -R nobody: {weights}, {cure}",
        )
    ]
    weights.chmod(0o644)
    package.chmod(0o700)  # one line, though no file in it can be read
    (said,) = found()
    assert said.message.endswith(f"{package} is owned by root, mode 0700: sudo chown -R nobody: {package}, {cure}")
    package.chmod(0o755)
    (data / "conversations.db").touch()  # of a daemon that root ran by hand
    (data / "conversations.db").chmod(0o644)
    (said,) = found()
    assert said.message.startswith(f"{data}/conversations.db: nobody cannot write it: everything is kept in memory")
    shutil.chown(data, "root")
    data.chmod(0o755)
    assert found()[0].message.startswith(f"{data}: nobody cannot write it: everything is kept in memory")
    assert {one.level for one in found()} == {"fail"}


def test_a_user_id_without_a_name(tiny_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs with any id."""
    config = Config(model=ModelConfig(path=str(tiny_package)), storage=StorageConfig(directory=str(tmp_path)))
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert list(permissions.examine(Surroundings(config))) == [
        Finding("ok", f"{os.geteuid()} may read and write what the service needs")
    ]


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
    assert re.match(r"operators (crashed the process that loaded it \(SIGBUS\)|cannot be loaded: OSError)", said)
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
            "onnxruntime crashed the process that loaded it (SIGILL); ",
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
    said = "youtu-edge: No module named _core: this installation is incomplete; install youtu-edge again\n"
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
            "youtu-edge.service has failed: it ran out of memory",
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
    assert said.startswith(f"{tmp_path}/data/conversations.db is dated ")
    assert "the clock was set back or is wrong" in said
