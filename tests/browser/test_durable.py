"""Answers survive what happens to engine, daemon and page: `kill -9`, restarts, reloads."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from browser.ui import Ui, expect
from front.scripted_daemon import Daemon, running, wait_until

Open = Callable[..., Ui]
TEXT = "slow repeat:8 The quick brown fox jumps."


def whole(ui: Ui) -> bool:
    return ui.answer() == TEXT * 8


def kept(daemon: Daemon) -> list[str]:
    """The messages of the only session."""
    (session,) = json.loads(daemon.request("GET", "/v1/sessions")[2])["sessions"]
    return [
        message["content"] for message in json.loads(daemon.request("GET", f"/v1/sessions/{session['id']}")[2])["messages"]
    ]


def test_the_death_of_the_engine_shows_and_loses_nothing(open_ui: Open, tmp_path: Path) -> None:
    """Paused, not ready: beside the answer and in the bar, before another engine is there; then the answer goes on.

    How soon is measured by scripts/bench_page.
    """
    hold = tmp_path / "hold"
    with running(f"storage.directory={tmp_path}", engine=("--load-while", str(hold))) as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port)
        ui.ask(TEXT)
        ui.wait_streaming(30)
        hold.touch()
        daemon.kill_engine()
        ui.wait_text("Paused. The answer continues")
        ui.wait_text("Paused, resuming", "#device")
        assert ui.page.get_attribute("#device", "data-state") == "paused"
        ui.screenshot("paused-1024x600-light-en")
        hold.unlink()
        ui.wait_done()
        assert whole(ui)
        ui.wait_text("scripted", "#device")
        assert kept(daemon) == [TEXT, TEXT * 8]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_death_of_the_daemon_shows_and_loses_nothing(open_ui: Open, tmp_path: Path, theme: str, language: str) -> None:
    """`kill -9` of the front and its engine; another daemon on the same data and port finishes the answer."""
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port, size=(390, 844), theme=theme, language=language)
        ui.ask(TEXT)
        ui.wait_streaming(30)
        port = daemon.port
        os.kill(daemon.process.pid, signal.SIGKILL)
        ui.page.locator(".dots.paused").wait_for()
        ui.wait_text({"en": "Paused, resuming", "zh": "已暂停"}[language], "#device")
        ui.screenshot(f"paused-390x844-{theme}-{language}")
        daemon.wait_exit()
    with running(f"storage.directory={tmp_path}", f"service.port={port}") as daemon:
        daemon.wait_ready()
        ui.wait_done()
        assert whole(ui)
        assert kept(daemon) == [TEXT, TEXT * 8]


def test_a_reload_in_mid_answer_follows_it_again(open_ui: Open, tmp_path: Path) -> None:
    """From its beginning; the first answer of a conversation, too, which the device has not stored yet."""
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port)
        ui.ask(TEXT)
        ui.wait_streaming(30)
        ui.page.reload()
        ui.page.locator(".answer[aria-busy]").wait_for()
        expect(ui.page.locator(".question")).to_have_count(1)
        ui.wait_done()
        assert whole(ui)
        assert kept(daemon) == [TEXT, TEXT * 8]
        ui.page.reload()
        ui.page.locator(".answer").wait_for()
        assert whole(ui)


def test_a_page_that_is_reloaded_after_the_daemon_died_finds_the_answer(open_ui: Open, tmp_path: Path) -> None:
    """Both are gone in the middle, and both come back."""
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port)
        ui.ask(TEXT)
        ui.wait_streaming(30)
        address, port = ui.page.url, daemon.port
        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.wait_exit()
    with running(f"storage.directory={tmp_path}", f"service.port={port}") as daemon:
        daemon.wait_ready()
        ui.page.goto(address)
        ui.page.reload()
        ui.wait_done()
        assert whole(ui)


def test_an_answer_of_another_tab_is_waited_for(open_ui: Open, tmp_path: Path) -> None:
    """It appears once it is complete."""
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port)
        ui.ask_and_wait("first")
        ui.ask(TEXT)
        ui.wait_streaming(30)
        other = open_ui(daemon.port, path=ui.page.url.removeprefix(ui.url))
        other.wait_text("Generating an answer")
        wait_until(lambda: other.page.locator(".question").count() == 2)
        assert whole(other)
