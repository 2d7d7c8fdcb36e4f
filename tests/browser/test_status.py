"""The status page."""

from __future__ import annotations

import re
from collections.abc import Callable

from browser.ui import Ui
from front.scripted_daemon import Daemon, running, wait_until

Open = Callable[..., Ui]


def card(ui: Ui, title: str) -> str:
    return str(ui.page.locator(".card", has=ui.page.locator("h2", has_text=title)).inner_text())


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
    ui.page.on("request", lambda request: asked.append(request.url) if "/v1/status" in request.url else None)
    changed = "document.dispatchEvent(new Event('visibilitychange'))"

    def looks(seconds: int, enough: int = 1000) -> int:
        """Number of polls within this many seconds of the page's own clock, or until the given count is reached."""
        before = len(asked)
        for _ in range(seconds):
            ui.page.clock.run_for(1000)
            ui.page.wait_for_load_state("networkidle")
            if len(asked) - before >= enough:
                break
        return len(asked) - before

    assert looks(30, enough=3) == 3
    ui.page.evaluate(f"Object.defineProperty(document, 'hidden', {{value: true, configurable: true}}); {changed}")
    looks(2)  # the look that was under way
    assert looks(10) == 0
    ui.page.evaluate(f"delete document.hidden; {changed}")
    assert looks(30, enough=3) >= 3
    ui.page.click("#new-chat")
    looks(2)  # the look that was already planned
    assert looks(8) <= 1


def test_temperatures_and_a_reduced_engine_are_shown_where_the_device_tells_them(open_ui: Open, daemon: Daemon) -> None:
    """A machine without sensors has no card for them; with sensors, the hottest is the figure."""
    ui = open_ui(daemon.port, path="/#/status")
    document = daemon.status()
    document |= {"board": document["board"] | {"temperatures": {}}, "degraded": None}
    told = {}
    ui.page.route("**/v1/status", lambda route: route.fulfill(json=document | told))
    ui.page.reload()
    ui.page.locator(".card").nth(4).wait_for()
    assert ui.page.locator(".card", has_text="Temperature").count() == 0
    told |= {
        "board": document["board"] | {"temperatures": {"soc": 46.23, "npu": 51.08}},
        "degraded": "smaller batch",
    }
    ui.page.locator(".card", has_text="Temperature").wait_for()
    assert "51.1 °C" in card(ui, "Temperature")
    assert "soc 46 °C · npu 51 °C" in card(ui, "Temperature")
    ui.wait_text("Degraded after repeated engine failures (smaller batch)")
    ui.screenshot("status-temperatures-1024x600-light-en")


def test_states_are_told(open_ui: Open) -> None:
    """Loading, and gone."""
    with running(engine=("--never-ready",)) as daemon:
        ui = open_ui(daemon.port, path="/#/status")
        ui.wait_text("The model is being loaded.")
        ui.screenshot("status-loading-1024x600-light-en")
        daemon.stop()
        ui.wait_text("The device cannot be reached.")
        ui.screenshot("status-offline-1024x600-light-en")
