from __future__ import annotations

from collections.abc import Iterator

import pytest

from front.scripted_daemon import Daemon, running


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One ready daemon for all tests of a module that leave it as it was."""
    with running("service.max_body_bytes=1000000", "service.max_restart_rate=1000/300") as started:
        yield started.wait_ready()
        assert started.stop() == 0
