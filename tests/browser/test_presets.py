"""Presets of system prompt and sampling, and the key that the browser remembers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from browser.test_key import add_key
from browser.ui import LOOKS, Ui, expect
from front.scripted_daemon import Daemon, running

Open = Callable[..., Ui]


@pytest.mark.parametrize(
    ("size", "theme", "language"), LOOKS, ids=lambda value: str(value[0]) if isinstance(value, tuple) else value
)
def test_a_preset_is_saved_chosen_and_deleted(
    open_ui: Open, daemon: Daemon, size: tuple[int, int], theme: str, language: str
) -> None:
    """It holds the system prompt and the sampling, survives a reload, and goes with the next question."""
    ui = open_ui(daemon.port, size=size, theme=theme, language=language)
    ui.page.click("#settings-open")
    assert ui.page.locator("#preset").is_disabled()
    ui.page.fill("#system", "Answer in rhyme.")
    ui.page.fill("#temperature", "0.5")
    ui.page.press("#temperature", "Tab")
    ui.page.locator(".preset-row .button").click()
    ui.page.fill("#dialog-field", "Poet")
    ui.page.keyboard.press("Enter")
    expect(ui.page.locator("#preset option:checked")).to_have_text("Poet", use_inner_text=True)
    ui.screenshot(f"preset-{ui.look}")
    ui.page.locator(".sheet > header button").click()
    ui.page.reload()
    ui.page.click("#settings-open")
    ui.page.fill("#temperature", "1.5")
    ui.page.press("#temperature", "Tab")
    ui.page.select_option("#preset", label="Poet")
    assert (ui.page.input_value("#system"), ui.page.input_value("#temperature")) == ("Answer in rhyme.", "0.5")
    ui.page.locator(".sheet > header button").click()
    with ui.page.expect_request("**/chat_stream") as sent:
        ui.ask_and_wait("hello")
    body = sent.value.post_data_json
    assert (body["system"], body["temperature"]) == ("Answer in rhyme.", 0.5)
    ui.page.click("#settings-open")
    ui.page.select_option("#preset", label="Poet")
    ui.page.locator(".preset-row .icon-button").click()
    expect(ui.page.locator("#preset option")).to_have_count(1)


def test_a_remembered_key_opens_the_next_tab_until_it_is_forgotten(open_ui: Open, tmp_path: Path) -> None:
    """Only if the person wants that; the settings forget it."""
    token = add_key(tmp_path, "chat", "metrics")
    with running(f"service.keys_file={tmp_path}/keys.json") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port, waits=False)
        ui.wait_text("This device requires a key.")
        ui.page.keyboard.type(token)
        ui.page.check("#dialog-check")
        ui.screenshot("remember-key-1024x600-light-en")
        ui.page.keyboard.press("Enter")
        ui.wait_text("scripted", "#device")
        other = ui.context.new_page()
        other.goto(ui.url)
        other.locator("#device[data-state=ready]").wait_for()
        ui.page.click("#settings-open")
        ui.page.click("text=Forget the API key")
        ui.wait_text("This browser has forgotten the key.")
        other.close()
        fresh = ui.context.new_page()
        fresh.goto(ui.url)
        fresh.locator("dialog").wait_for()


def test_a_remembered_key_that_is_no_longer_valid_is_asked_for_again(open_ui: Open, tmp_path: Path) -> None:
    """The old one is not tried for ever."""
    token = add_key(tmp_path, "chat", "metrics")
    with running(f"service.keys_file={tmp_path}/keys.json") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port, waits=False)
        ui.wait_text("This device requires a key.")
        ui.page.evaluate("localStorage.setItem('youtu-edge-key', 'ye-old')")
        ui.page.reload()
        ui.wait_text("rejected this key")
        assert ui.page.evaluate("localStorage.getItem('youtu-edge-key')") is None
        ui.page.keyboard.type(token)
        ui.page.keyboard.press("Enter")
        ui.wait_text("scripted", "#device")
