"""install, upgrade and uninstall on a booted machine: twice, damaged, not getting ready, back, and away."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from systemd.appliance import CONFIG, PACKAGE, SERVICE, UNIT, Appliance, place_package
from systemd.machine import Machine

CURRENT = "/opt/youtu-edge/current"
INSTALL = ("/checkout/scripts/install", "--wheelhouse", "/wheelhouse")


class Installed(Appliance):
    """Installed first without a model, then with one."""

    said_first = ""
    """What the first installation printed."""


@pytest.fixture(scope="module")
def installed(machine: Machine, package: Path) -> Installed:
    """Installed once for all tests of this file, with a model, and running."""
    found = Installed(machine)
    found.said_first = machine.run(*INSTALL).stdout
    place_package(machine, package)
    return found


@pytest.fixture
def appliance(installed: Installed) -> Installed:
    """The same, with its own configuration again."""
    installed.write_config()
    installed.machine.run(*INSTALL)
    return installed


def broken_wheelhouse(machine: Machine, wheelhouse: Path, *, module: str, source: str) -> None:
    """/out/wheels: the wheelhouse, but with this source for one module of ours."""
    target = machine.out / "wheels"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for wheel in wheelhouse.glob("*.whl"):
        if not wheel.name.startswith("youtu_edge"):
            (target / wheel.name).symlink_to(f"/wheelhouse/{wheel.name}")
            continue
        with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target / wheel.name, "w") as new:
            for entry in old.infolist():
                new.writestr(entry, source if entry.filename == module else old.read(entry))


def test_the_first_installation_waits_for_a_model(installed: Installed) -> None:
    """Enabled, configured, not started; what to do next is said."""
    machine = installed.machine
    assert f"new: {CONFIG}" in installed.said_first
    assert "no model yet" in installed.said_first
    assert "starting" not in installed.said_first
    assert machine.run("systemctl", "is-enabled", SERVICE).stdout.strip() == "enabled"
    assert machine.run("youtu-edge", "--version").stdout.startswith("youtu-edge ")
    assert machine.run("stat", "-c", "%U %a", "/var/lib/youtu-edge").stdout.split() == ["youtu-edge", "750"]


def test_installing_again_changes_nothing_but_what_is_different(appliance: Appliance) -> None:
    """The same release stays, the site's configuration is kept, the unit follows it, a board's drop-in is added."""
    machine = appliance.machine
    release, config = machine.run("readlink", CURRENT).stdout, machine.run("cat", CONFIG).stdout
    appliance.write_config(service__drain_s=1)
    changed = machine.run("cat", CONFIG).stdout
    assert changed != config
    said = machine.run(*INSTALL, "--board", "rk3588", "--no-start").stdout
    assert "this release is installed already" in said
    assert f"kept: {CONFIG}" in said
    assert machine.run("readlink", CURRENT).stdout == release
    assert machine.run("cat", CONFIG).stdout == changed
    assert machine.run("cmp", f"{CONFIG}.dist", "/checkout/config/youtu-edge.yaml").returncode == 0
    assert "TimeoutStopSec=16\n" in machine.run("cat", UNIT).stdout
    assert appliance.show("CPUAffinity") == "4-7"
    machine.run(*INSTALL, "--board", "none", "--no-start")
    assert appliance.show("CPUAffinity") == ""


def test_a_mistake_in_the_configuration_stops_an_installation(appliance: Appliance) -> None:
    """The line is named; unit, release and service stay as they were."""
    machine = appliance.machine
    before, unit = appliance.front_pid, machine.run("cat", UNIT).stdout
    machine.write(CONFIG, "memory:\n  limit: plenty\n")
    done = machine.run(*INSTALL, check=False)
    assert done.returncode == 1
    assert f'{CONFIG}:2: key "memory.limit"' in done.stdout
    assert machine.run("cat", UNIT).stdout == unit
    assert appliance.front_pid == before


def test_an_upgrade_that_cannot_be_built_changes_nothing(appliance: Appliance, wheelhouse: Path) -> None:
    """A damaged wheel is found before pip sees it, a broken one by loading it; the old release serves on."""
    machine = appliance.machine
    release, front = machine.run("readlink", CURRENT).stdout, appliance.front_pid
    broken_wheelhouse(machine, wheelhouse, module="youtu_edge/engine/loop.py", source="raise ImportError('broken')\n")
    done = machine.run("/checkout/scripts/upgrade", "--wheelhouse", "/out/wheels", check=False)
    assert done.returncode == 1
    assert "the new release does not run" in done.stdout
    machine.run("cp", "/wheelhouse/SHA256SUMS", "/out/wheels/")
    done = machine.run("/checkout/scripts/upgrade", "--wheelhouse", "/out/wheels", check=False)
    assert done.returncode == 1
    assert "is damaged; nothing was changed" in done.stdout
    assert (machine.run("readlink", CURRENT).stdout, appliance.front_pid) == (release, front)
    assert machine.run("ls", "/opt/youtu-edge/releases").stdout.split() == [Path(release.strip()).name]


def test_an_upgrade_that_does_not_get_ready_is_taken_back(appliance: Appliance, wheelhouse: Path) -> None:
    """The old release runs again, and says so; a good upgrade replaces it, and --back returns."""
    machine = appliance.machine
    release = machine.run("readlink", CURRENT).stdout
    broken_wheelhouse(machine, wheelhouse, module="youtu_edge/cli/serve.py", source="def run(*_): raise SystemExit(1)\n")
    done = machine.run("/checkout/scripts/upgrade", "--wheelhouse", "/out/wheels", check=False)
    assert done.returncode == 1, done.stdout
    assert "the new release did not become ready" in done.stdout
    assert machine.run("readlink", CURRENT).stdout == release
    assert appliance.ask({"prompt": "hello", "max_new_tokens": 4})[0] == 200

    note = "# another release\n"
    serve = (Path(__file__).parents[2] / "daemon/youtu_edge/cli/serve.py").read_text()
    broken_wheelhouse(machine, wheelhouse, module="youtu_edge/cli/serve.py", source=serve + note)
    machine.run("/checkout/scripts/upgrade", "--wheelhouse", "/out/wheels")
    upgraded = machine.run("readlink", CURRENT).stdout
    assert upgraded != release
    running = machine.run("sh", "-c", f"tr '\\0' ' ' </proc/{appliance.front_pid}/cmdline").stdout
    assert upgraded.strip() in running
    machine.run("/checkout/scripts/upgrade", "--back")
    assert machine.run("readlink", CURRENT).stdout == release
    assert appliance.ask({"prompt": "hello", "max_new_tokens": 4})[0] == 200
    assert machine.run("test", "-e", f"{PACKAGE}/manifest.json").returncode == 0


def test_an_image_is_installed_below_its_directory(machine: Machine) -> None:
    """--root touches nothing else, and what it writes knows only the paths of the device."""
    before = machine.run("readlink", CURRENT, check=False).stdout
    machine.run(*INSTALL, "--root", "/srv/image", "--board", "orin-nx")
    found = machine.run("find", "/srv/image", "-name", "youtu-edge*", "-not", "-path", "*/releases/*").stdout.split()
    assert "/srv/image/etc/systemd/system/youtu-edge.service" in found
    assert "/srv/image/etc/systemd/system/multi-user.target.wants/youtu-edge.service" in found
    assert machine.run("head", "-1", "/srv/image/opt/youtu-edge/current/bin/youtu-edge").stdout.startswith(
        "#!/opt/youtu-edge/"
    )
    unit = machine.run("cat", "/srv/image/etc/systemd/system/youtu-edge.service").stdout
    assert "/srv/image" not in unit
    assert "extends: boards/orin-nx.yaml\n" in machine.run("cat", f"/srv/image{CONFIG}").stdout
    assert machine.run("cmp", f"/srv/image{CONFIG}.dist", "/checkout/config/youtu-edge.yaml").returncode == 0
    assert "MemoryHigh=40%\n" in unit
    assert (
        "PrivateDevices=no\n"
        in machine.run("cat", "/srv/image/etc/systemd/system/youtu-edge.service.d/50-board.conf").stdout
    )
    assert machine.run("readlink", CURRENT, check=False).stdout == before
    machine.run("/checkout/scripts/uninstall", "--purge", "--root", "/srv/image")
    assert machine.run("find", "/srv/image", "-name", "youtu-edge*").stdout == ""


def test_uninstalling_keeps_the_data_unless_told_otherwise(appliance: Appliance) -> None:
    """Twice is as good as once."""
    machine = appliance.machine

    def exists(*paths: str) -> list[str]:
        return [path for path in paths if machine.run("test", "-e", path, check=False).returncode == 0]

    for _ in range(2):
        machine.run("/checkout/scripts/uninstall")
        assert exists("/opt/youtu-edge", UNIT, "/usr/local/bin/youtu-edge", "/etc/sysusers.d/youtu-edge.conf") == []
        assert exists("/usr/local/share/bash-completion/completions/youtu-edge") == []
        assert exists(f"/etc/systemd/system/multi-user.target.wants/{SERVICE}") == []
        assert exists(CONFIG, f"{PACKAGE}/manifest.json") == [CONFIG, f"{PACKAGE}/manifest.json"]
        assert appliance.ask({"prompt": "hello"}) == (0, {})
    for _ in range(2):
        machine.run("/checkout/scripts/uninstall", "--purge")
        assert exists("/etc/youtu-edge", "/var/lib/youtu-edge") == []
        assert machine.run("id", "youtu-edge", check=False).returncode == 1


def test_a_package_that_pip_installed_becomes_a_service(machine: Machine, package: Path) -> None:
    """The last test of this file. No checkout takes part: a virtual environment, one command, a model, an answer."""
    service = Appliance(machine)
    machine.run("/checkout/scripts/uninstall", "--purge")
    machine.run("/usr/bin/python3", "-m", "venv", "/opt/appliance")
    pip = ("/opt/appliance/bin/pip", "--disable-pip-version-check", "--quiet", "install")
    machine.run(*pip, "--no-index", "--no-compile", "--find-links", "/wheelhouse", "youtu-edge")
    said = machine.run("/opt/appliance/bin/youtu-edge", "install-service", "--board", "generic").stdout
    assert "no model yet" in said
    assert machine.run("systemctl", "is-enabled", SERVICE).stdout.strip() == "enabled"
    machine.run("rm", "-rf", "/out/package")
    place_package(machine, package)
    service.write_config()
    assert "ready: serving tiny at " in machine.run("/opt/appliance/bin/youtu-edge", "install-service").stdout
    assert service.ask({"prompt": "hello", "max_new_tokens": 4})[0] == 200
    assert "ExecStart=/opt/appliance/bin/youtu-edge serve" in machine.run("youtu-edge", "render-unit").stdout
