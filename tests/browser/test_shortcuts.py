"""Keyboard shortcuts, and the overlay that lists them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from browser.ui import LOOKS, Ui, expect
from front.scripted_daemon import Daemon, wait_until

Open = Callable[..., Ui]


@pytest.mark.parametrize(
    ("size", "theme", "language"), LOOKS, ids=lambda value: str(value[0]) if isinstance(value, tuple) else value
)
def test_the_overlay_lists_them(open_ui: Open, daemon: Daemon, size: tuple[int, int], theme: str, language: str) -> None:
    """A question mark opens it where no text is typed, and Escape closes it."""
    ui = open_ui(daemon.port, size=size, theme=theme, language=language)
    ui.page.focus("#question")
    ui.page.keyboard.type("?")
    expect(ui.page.locator("dialog")).to_have_count(0)
    assert ui.page.input_value("#question") == "?"
    ui.page.focus("#transcript")
    ui.page.keyboard.press("?")
    ui.page.locator("dialog .shortcuts div").nth(11).wait_for()
    ui.screenshot(f"shortcuts-{ui.look}")
    ui.page.keyboard.press("Escape")
    expect(ui.page.locator("dialog")).to_have_count(0)


def test_every_shortcut_does_what_the_overlay_says(open_ui: Open, daemon: Daemon) -> None:
    ui = open_ui(daemon.port)
    press = ui.page.keyboard.press
    ui.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ui.ask_and_wait("hello")
    press("Alt+r")
    ui.page.locator(".pager").wait_for()
    ui.wait_done()
    press("Alt+c")
    ui.wait_text("Copied", "#toasts")
    assert ui.page.evaluate("navigator.clipboard.readText()") == "hello"
    press("Control+k")
    assert ui.focused() == "search"
    ui.page.focus("#transcript")
    press("/")
    assert ui.focused() == "question"
    press("Alt+,")
    ui.page.locator("dialog.sheet").wait_for()
    press("Alt+n")
    expect(ui.page.locator(".question"), "a dialog keeps the keys for itself").to_have_count(1)
    press("Escape")
    press("Alt+s")
    ui.page.locator(".card").first.wait_for()
    press("Alt+s")
    wait_until(lambda: ui.page.locator("#chat").is_visible())
    press("Alt+n")
    ui.wait_text("What would you like to know?")
