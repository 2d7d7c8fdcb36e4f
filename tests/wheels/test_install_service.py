"""`youtu-edge install-service` of a package that pip installed, on a device that has no checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from wheelhouse import ROOT
from wheels.pip_environment import PipEnvironment
from youtu_edge.__main__ import main
from youtu_edge.cli.install_service import check_command
from youtu_edge.errors import ConfigError
from youtu_edge.installation_files import CURRENT_COMMAND, service_command

COMMAND = "/opt/appliance/bin/youtu-edge"
UNIT = "etc/systemd/system/youtu-edge.service"


@pytest.fixture
def device(installed: PipEnvironment) -> PipEnvironment:
    """The same package, on a device without a service."""
    for name in ("etc", "usr"):
        shutil.rmtree(installed.root / name, ignore_errors=True)
    return installed


def install(device: PipEnvironment, *options: str, check: bool = True) -> str:
    """The command's output."""
    done = device.run("install-service", "--root", str(device.root), *options, check=check)
    return done.stdout + done.stderr


def unit(device: PipEnvironment) -> list[str]:
    """Its lines."""
    return (device.root / UNIT).read_text().splitlines()


def test_the_package_brings_all_files_of_a_service(device: PipEnvironment) -> None:
    """Configuration, boards and profiles, user and directories, the unit that calls this command, enabled."""
    said = install(device)
    for source in (ROOT / "config").rglob("*.yaml"):
        name = source.relative_to(ROOT / "config")
        assert (device.root / "etc/youtu-edge" / name).read_bytes() == source.read_bytes()
        assert f"new: {device.root}/etc/youtu-edge/{name}\n" in said
    for tool in ("sysusers", "tmpfiles"):
        placed = device.root / f"etc/{tool}.d/youtu-edge.conf"
        assert placed.read_bytes() == (ROOT / f"systemd/{tool}.conf").read_bytes()
    shipped = (ROOT / "systemd/youtu-edge.service").read_text()
    assert (device.root / UNIT).read_text() == shipped.replace(f"={CURRENT_COMMAND} ", f"={COMMAND} ")
    assert f"ExecStart={COMMAND} serve --config /etc/youtu-edge/youtu-edge.yaml" in unit(device)
    enabled = device.root / "etc/systemd/system/multi-user.target.wants/youtu-edge.service"
    assert str(enabled.readlink()) == f"/{UNIT}"
    assert str((device.root / "usr/local/bin/youtu-edge").readlink()) == COMMAND
    completion = device.root / "usr/local/share/bash-completion/completions/youtu-edge"
    assert completion.read_bytes() == (ROOT / "completions/youtu-edge.bash").read_bytes()
    assert (device.root / "usr/local/share/zsh/site-functions/_youtu-edge").read_text().startswith("#compdef youtu-edge\n")


def test_what_it_placed_is_good(device: PipEnvironment) -> None:
    """The installed command finds no fault with any configuration, and the operator library of the package loads."""
    install(device)
    for file in (device.root / "etc/youtu-edge").rglob("*.yaml"):
        if "fleet" in file.parts:  # of compose and Kubernetes; tests/fleet checks them
            continue
        assert device.run("check-config", str(file)).stdout == f"{file}: ok\n"
    load = "from youtu_edge.ops import library_path, set_threads; set_threads(1, 0); print(library_path())"
    assert device.python(load).startswith(str(device.directory))


def test_a_board_gets_its_drop_in_and_a_configuration_on_its_own(device: PipEnvironment) -> None:
    """They stay when it runs again; `none` takes the drop-in away."""
    config, drop_in = device.root / "etc/youtu-edge/youtu-edge.yaml", device.root / f"{UNIT}.d/50-board.conf"
    assert "for the board orin-nx" in install(device, "--board", "orin-nx")
    assert "\nextends: boards/orin-nx.yaml\n" in config.read_text()
    assert drop_in.read_bytes() == (ROOT / "systemd/board-orin-nx.conf").read_bytes()
    assert "MemoryHigh=40%" in unit(device)
    install(device)
    assert drop_in.exists()
    install(device, "--board", "none")
    assert not drop_in.exists()
    said = install(device, "--board", "orin", check=False)
    assert "--board: unknown board orin; known boards: generic orin-nx rk3588" in said


def test_again_changes_only_what_is_different(device: PipEnvironment) -> None:
    """The site's file is kept, this release's own lies beside it until they are the same; the unit follows the site."""
    install(device)
    assert install(device) == ""
    config = device.root / "etc/youtu-edge/youtu-edge.yaml"
    config.write_text("service: {drain_s: 1}\n")
    assert install(device) == f"kept: {config}; this release's version is youtu-edge.yaml.dist\n"
    assert config.read_text() == "service: {drain_s: 1}\n"
    assert "TimeoutStopSec=16" in unit(device)
    shutil.copy(config.with_name("youtu-edge.yaml.dist"), config)
    assert install(device) == ""
    assert not config.with_name("youtu-edge.yaml.dist").exists()


def test_a_mistake_of_the_site_changes_no_unit(device: PipEnvironment) -> None:
    """It is named with its line, and what runs is as it was."""
    install(device)
    before, config = unit(device), device.root / "etc/youtu-edge/youtu-edge.yaml"
    config.write_text("memory:\n  limit: plenty\n")
    done = device.run("install-service", "--root", str(device.root), check=False)
    assert done.returncode == 78
    assert f'{config}:2: key "memory.limit"' in done.stderr
    assert unit(device) == before


def test_a_command_of_somebody_else_is_kept(device: PipEnvironment) -> None:
    """A file at /usr/local/bin/youtu-edge that is not a symlink is not ours."""
    file = device.root / "usr/local/bin/youtu-edge"
    file.parent.mkdir(parents=True)
    file.write_text("#!/bin/sh\n")
    assert f"kept: {file}; it is not a link to {COMMAND}" in install(device)
    assert file.read_text() == "#!/bin/sh\n"


def test_an_environment_that_the_service_cannot_see_is_refused() -> None:
    """With where to go. Only the check: an installation that went through would be one of this machine."""
    with pytest.raises(ConfigError, match=r"the command: /var/tmp/venv/bin/youtu-edge is below /var/tmp"):
        check_command(Path("/var/tmp/venv/bin/youtu-edge"))
    with pytest.raises(ConfigError, match=r"checkout; install the service with \./scripts/install"):
        check_command(service_command())


def test_without_root_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert main(["install-service"]) == 1
    assert capsys.readouterr().err == "youtu-edge: install-service needs root; use sudo, or --root DIR to build an image\n"
