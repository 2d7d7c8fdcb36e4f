"""Debian's Chromium, driven by Playwright. Without either, these tests are skipped with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from browser.ui import BOARD, Ui
from chromium import chromium as launched
from front.scripted_daemon import Daemon, running

FLAGS = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {BOARD} 127.0.0.1",
)


@pytest.fixture(scope="module")  # not longer: playwright keeps an event loop running in this thread, which others need
def chromium() -> Iterator[Any]:
    """One browser for the tests of a module; each test opens its own contexts in it."""
    with launched(*FLAGS) as browser:
        yield browser


@pytest.fixture
def open_ui(chromium: Any) -> Iterator[Callable[..., Ui]]:
    """Opens a daemon's page in a context without cookies and storage. What the page reports as an error fails the test."""
    opened: list[Ui] = []

    def open_page(port: int, **options: Any) -> Ui:
        opened.append(Ui(chromium, port, **options))
        return opened[-1]

    yield open_page
    for ui in opened:
        ui.context.close()
    assert [error for ui in opened for error in ui.errors] == []


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One scripted daemon for the tests of a module."""
    with running("service.max_restart_rate=1000/300") as started:
        yield started.wait_ready()
