from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from front.keys_command import add, keys
from front.scripted_daemon import Daemon, running


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One ready daemon for all tests of a module that leave it as it was."""
    with running("service.max_body_bytes=1000000", "service.max_restart_rate=1000/300") as started:
        yield started.wait_ready()
        assert started.stop() == 0


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon whose file of keys exists and is empty."""
    add(tmp_path, "first")
    keys(tmp_path, "revoke", "first")
    with running(f"service.keys_file={tmp_path}/keys.json") as daemon:
        yield daemon.wait_ready()
