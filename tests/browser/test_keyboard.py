"""The whole page without a mouse."""

from __future__ import annotations

from collections.abc import Callable

from browser.ui import Ui
from front.scripted_daemon import Daemon, wait_until

Open = Callable[..., Ui]


def tab_to(ui: Ui, name: str) -> None:
    """Press Tab until `name` has the focus; every element on the way must show a focus ring."""
    for _ in range(40):
        if ui.focused() == name:
            return
        ui.page.keyboard.press("Tab")
        # After the last stop the focus is with the browser itself, and the body stands in for it.
        shows = "(e => [e.tagName, getComputedStyle(e).outlineStyle, e.closest('.composer, body:focus')])"
        stop, outline, exempt = ui.page.evaluate(f"{shows}(document.activeElement).map(String)")
        assert outline != "none" or stop == "BODY" or exempt != "null", f"{stop} hides its focus"
    raise AssertionError(f"Tab never reaches {name}")


def test_a_conversation_by_keyboard_alone(open_ui: Open, daemon: Daemon) -> None:
    """Ask, stop, new conversation, settings, rename in the menu, status page and back."""
    ui = open_ui(daemon.port)
    keyboard = ui.page.keyboard
    assert ui.focused() == "question"
    keyboard.type("slow repeat:100 by keyboard ")
    keyboard.press("Enter")
    ui.wait_streaming(5)
    keyboard.press("Escape")
    ui.wait_done()
    wait_until(lambda: ui.page.locator("#session-list a").count() == 1)
    tab_to(ui, "settings-open")
    keyboard.press("Enter")
    ui.page.locator("dialog.sheet").wait_for()
    keyboard.press("Escape")
    assert ui.focused() == "settings-open", "the focus comes back"
    ui.page.focus("#new-chat")
    for stop in ("import", "search", "slow repeat:100 by keyboard", "Actions for"):
        keyboard.press("Tab")
        assert ui.focused().startswith(stop)
    keyboard.press("Enter")
    assert ui.focused() == "Rename"
    keyboard.press("ArrowDown")
    assert ui.focused() == "Export as JSON"
    keyboard.press("End")
    assert ui.focused() == "Delete"
    keyboard.press("Escape")
    assert ui.focused().startswith("Actions for")
    keyboard.press("Enter")
    keyboard.press("Enter")
    keyboard.type("Typed")
    keyboard.press("Enter")
    wait_until(lambda: ui.page.locator("#session-list a").inner_text() == "Typed")
    tab_to(ui, "status-link")
    keyboard.press("Enter")
    ui.page.locator(".card").first.wait_for()
    ui.page.focus("#new-chat")
    keyboard.press("Enter")
    ui.wait_text("What would you like to know?")
    assert ui.focused() == "question"


def test_the_skip_link_leads_to_the_question(open_ui: Open, daemon: Daemon) -> None:
    """It appears with the focus, and keeps the address."""
    ui = open_ui(daemon.port)
    tab_to(ui, "skip-link")
    box = ui.page.locator("#skip-link").bounding_box()
    assert box
    assert box["y"] >= 0
    address = ui.page.url
    ui.page.keyboard.press("Enter")
    assert ui.focused() == "question"
    assert ui.page.url == address


def test_screen_readers_hear_the_whole_answer_once(open_ui: Open, daemon: Daemon) -> None:
    """The log is live, and an answer is busy until it is complete."""
    ui = open_ui(daemon.port)
    assert ui.page.get_attribute("#transcript", "role") == "log"
    ui.ask("slow repeat:3 listen ")
    ui.wait_streaming(3)
    assert ui.page.get_attribute(".answer", "aria-busy") == "true"
    ui.wait_done()
    assert ui.page.get_attribute(".answer", "aria-busy") is None
