"""The status page."""

from __future__ import annotations

import re
from collections.abc import Callable

from browser.ui import Ui
from front.scripted_daemon import Daemon, running, wait_until

Open = Callable[..., Ui]


def card(ui: Ui, title: str) -> str:
    return str(ui.page.locator(".card", has_text=title).inner_text())


def test_the_figures_move_while_somebody_looks(open_ui: Open, daemon: Daemon) -> None:
    """Requests, memory and a line that grows with each look."""
    ui = open_ui(daemon.port, path="/#/status")
    ui.wait_text("Everything is running.")
    ui.page.locator(".card").nth(4).wait_for()
    assert "0" in card(ui, "Open requests")
    other = open_ui(daemon.port)
    other.ask("slow repeat:100 work ")
    wait_until(lambda: "\n1\n" in card(ui, "Open requests"))
    points = "document.querySelector('.spark-line').getAttribute('points').split(' ').length"
    seen = ui.page.evaluate(points)
    wait_until(lambda: ui.page.evaluate(points) > seen)
    other.page.keyboard.press("Escape")
    wait_until(lambda: "\n0\n" in card(ui, "Open requests"))
    assert re.search(r"engine \d+ MiB, front \d+ MiB", card(ui, "Memory"))
    facts = ui.page.locator(".facts").inner_text()
    assert "scripted" in facts
    assert "4,096 tokens" in facts


def test_nobody_is_asked_while_nobody_looks(open_ui: Open, daemon: Daemon) -> None:
    """The page polls often on the status page only, and never in a hidden tab."""
    ui = open_ui(daemon.port)
    ui.page.clock.install()
    ui.page.goto(ui.url + "/#/status")
    ui.page.reload()
    ui.page.locator(".card").first.wait_for()
    asked: list[str] = []
    ui.page.on("request", lambda request: asked.append(request.url))
    changed = "document.dispatchEvent(new Event('visibilitychange'))"

    def looks_after(seconds: int) -> int:
        """How often it asks within so many seconds of the page's own clock."""
        before = len(asked)
        for _ in range(seconds):
            ui.page.clock.run_for(1000)
            ui.page.wait_for_load_state("networkidle")
        return len(asked) - before

    assert looks_after(5) >= 3
    ui.page.evaluate(f"Object.defineProperty(document, 'hidden', {{value: true, configurable: true}}); {changed}")
    assert looks_after(5) == 0
    ui.page.evaluate(f"delete document.hidden; {changed}")
    assert looks_after(5) >= 3
    ui.page.click("#new-chat")
    looks_after(2)  # the look that was already planned
    assert looks_after(8) <= 1


def test_states_are_told(open_ui: Open) -> None:
    """Loading, and gone."""
    with running(engine=("--never-ready",)) as daemon:
        ui = open_ui(daemon.port, path="/#/status")
        ui.wait_text("The model is being loaded.")
        ui.screenshot("status-loading-1024x600-light-en")
        daemon.stop()
        ui.wait_text("The device cannot be reached.")
        ui.screenshot("status-offline-1024x600-light-en")
