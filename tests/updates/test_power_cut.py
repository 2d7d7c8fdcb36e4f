"""kill -9 of an installation at any moment: the store stays usable and the next command removes the remains."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

from daemon_process import Daemon
from updates_support import Command, make_trust, model_command
from youtu_edge.package import open_package
from youtu_edge.updates.store import ModelStore

CUTS = 12


def killed_installation(package: Path, settings: tuple[str, ...], delay_s: float) -> bool:
    """Run the command and kill it with all its children after a while; whether it was still running."""
    command = model_command("install", str(package), "--allow-downgrade", settings=settings)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(delay_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def test_the_store_survives_a_cut_at_any_moment(first: Path, second: Path, tmp_path: Path, command: Command) -> None:
    """After each cut every listed version is whole and the link leads to one; what was served before is still there."""
    store = ModelStore(tmp_path / "store" / "current")
    settings = (f"model.path={store.link}", "memory.limit=1G", f"updates.trust_dir={make_trust(tmp_path)}")
    begun = time.monotonic()
    assert command("install", str(first)).returncode == 0
    usual_s = time.monotonic() - begun
    chance, cuts = random.Random(5), 0
    for number in range(CUTS):
        package = (second, first)[number % 2]
        cut = killed_installation(package, settings, chance.uniform(0.1, 1.3) * usual_s)
        cuts += cut
        usual_s *= 1.2 if cut else 0.7  # how long one takes changes with what else the machine does
        versions = store.versions()
        assert versions
        for version in versions:
            assert not version.problem
            open_package(store.versions_directory / version.id)
        assert store.directory(store.target() or "nothing").is_dir()
        # Every other time a fresh start, so that the cut can hit the moment of adding a version.
        if number % 2:
            shutil.rmtree(store.root)
            assert command("install", str(first)).returncode == 0
    assert cuts >= CUTS // 4, "hardly any installation was cut"
    assert command("prune").returncode == 0
    assert not list(store.versions_directory.glob(".*"))
    assert not list(store.root.glob(".*"))
    with Daemon(store.link, tmp_path) as daemon:
        daemon.wait_ready()


def test_leftovers_are_cleared_by_the_next_command(first: Path, tmp_path: Path, command: Command) -> None:
    """Staging directories at once; a half-made link when it is old, because a daemon may be making one now."""
    store = ModelStore(tmp_path / "store" / "current")
    assert command("install", str(first)).returncode == 0
    leftover = store.versions_directory / ".incoming-abc"
    shutil.copytree(first, leftover)
    young, old = store.root / ".new-link-1-0", store.root / ".new-link-2-0"
    for link, age_s in ((young, 0), (old, 3600)):
        link.symlink_to("versions/x")
        then = time.time() - age_s
        os.utime(link, (then, then), follow_symlinks=False)
    assert len(command("list").stdout.splitlines()) == 2
    assert command("prune").returncode == 0
    assert not leftover.exists()
    assert os.path.lexists(young)
    assert not os.path.lexists(old)
