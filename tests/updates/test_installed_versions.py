"""Installed versions: rollback, prune, repair, and ownership of the directories."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from updates.installed_packages import checksum, installed, served
from updates_support import Command, export_tiny
from youtu_edge.errors import EXIT_FAILURE
from youtu_edge.updates.store import LAST_GOOD, ModelStore


def test_rollback_goes_to_the_newest_version_that_answered(
    first: Path, second: Path, store: ModelStore, command: Command
) -> None:
    """The daemon notes which versions answered; here the test does it in its place."""
    assert command("install", str(first)).returncode == 0
    done = command("rollback")
    assert done.returncode == EXIT_FAILURE
    assert "no other version" in done.stderr
    store.mark_good(store.target() or "")
    assert command("install", str(second)).returncode == 0
    assert command("rollback").returncode == 0
    assert served(store) == checksum(first)


def test_prune_keeps_what_is_served_and_what_to_go_back_to(
    first: Path, second: Path, store: ModelStore, command: Command, tmp_path: Path
) -> None:
    third = export_tiny(tmp_path, "tiny", 4, "--release", "4")
    for package in (first, second, third):
        assert command("install", str(package)).returncode == 0
    store.mark_good(next(store.target_of(name) for name in installed(store) if checksum(second)[:12] in name))
    done = command("prune")
    assert done.returncode == 0
    assert {version.manifest.checksum for version in store.versions() if version.manifest} == {
        checksum(second),
        checksum(third),
    }
    assert store.target(LAST_GOOD) is not None
    assert command("prune").stdout == ""


def test_a_damaged_version_is_installed_afresh_beside_the_old_one(first: Path, store: ModelStore, command: Command) -> None:
    """The link must never lead nowhere, so the damaged directory is not exchanged in place."""
    assert command("install", str(first)).returncode == 0
    damaged = store.versions_directory / installed(store)[0]
    (damaged / "weights.bin").write_bytes(b"")
    assert command("install", str(first)).returncode == 0
    assert served(store) == checksum(first)
    assert store.target() == f"versions/{damaged.name}.2"


def test_commands_do_not_run_beside_each_other(store: ModelStore, command: Command) -> None:
    with store.changing():
        done = command("prune")
    assert done.returncode == EXIT_FAILURE
    assert "another youtu-edge model command is running" in done.stderr


def test_a_package_in_the_place_of_the_link_is_left_alone(first: Path, command: Command) -> None:
    done = command("install", str(first), "--set", f"model.path={first}")
    assert done.returncode == EXIT_FAILURE
    assert "is a package itself" in done.stderr


def test_the_directories_belong_to_the_owner_of_what_is_above_them(first: Path, tmp_path: Path, command: Command) -> None:
    """Root installs; the daemon's user must be able to switch the link back."""
    if os.geteuid() != 0:
        pytest.skip("only root can give directories away")
    home = tmp_path / "state"
    home.mkdir()
    os.chown(home, 4711, 4712)
    done = command("install", str(first), "--set", f"model.path={home}/models/current")
    assert done.returncode == 0, done.stderr
    for directory in (home / "models", home / "models" / "versions"):
        assert (directory.stat().st_uid, directory.stat().st_gid) == (4711, 4712)
    package = next((home / "models" / "versions").iterdir())
    assert package.stat().st_uid == 0
    assert stat.S_IMODE(package.stat().st_mode) == 0o755
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o644 for path in package.iterdir() if path.is_file())


def test_an_unprivileged_user_is_told_what_to_do(first: Path, store: ModelStore, command: Command) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    store.root.mkdir()
    store.root.chmod(0o500)
    done = command("install", str(first))
    assert done.returncode == EXIT_FAILURE
    assert "as its owner or as root" in done.stderr
