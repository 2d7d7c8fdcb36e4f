"""A touch panel of 7 inches, the page as an installed app, speech."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from browser.ui import TOUCH, Ui, expect
from front.scripted_daemon import Daemon, wait_until

Open = Callable[..., Ui]
PIXELS_PER_MM = 1024 / 154
REACH_MM = 75
"""From the lower corners, where the hands hold the panel, to the tip of a thumb."""
CENTRES = """() => [...document.querySelectorAll("button, a, input, select, textarea, summary")]
  .filter((element) => element.checkVisibility({ opacityProperty: true }) && element.id !== "skip-link")
  .map((element) => [element.id || element.ariaLabel || element.textContent, element.getBoundingClientRect()])
  .map(([name, box]) => [name, box.left + box.width / 2, box.top + box.height / 2])"""


def out_of_reach(ui: Ui) -> list[str]:
    """What is farther from both lower corners than a thumb is long."""
    width, height = TOUCH

    def distance(x: float, y: float) -> float:
        return min(((x - corner) ** 2 + (y - height) ** 2) ** 0.5 for corner in (0, width)) / PIXELS_PER_MM

    return [name for name, x, y in ui.page.evaluate(CENTRES) if distance(x, y) > REACH_MM]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everything_is_within_reach_of_a_thumb(open_ui: Open, daemon: Daemon, theme: str, language: str) -> None:
    """The bar is below, so are the buttons of the list; the keyboard on the screen takes the place of the bar."""
    ui = open_ui(daemon.port, size=TOUCH, theme=theme, language=language, touch=True)
    assert ui.page.evaluate("matchMedia('(pointer: coarse)').matches")
    ui.ask_and_wait("hello")
    ui.page.locator("#transcript").focus()
    ui.page.locator("#session-list a").first.wait_for()
    assert out_of_reach(ui) == []
    ui.screenshot(f"panel-{ui.look}")
    ui.page.locator(".question .more").tap()
    assert out_of_reach(ui) == []
    ui.page.keyboard.press("Escape")
    ui.page.locator("#question").tap()
    expect(ui.page.locator(".topbar")).to_be_hidden()
    expect(ui.page.locator("#send")).to_be_visible()
    ui.page.locator("#transcript").focus()
    ui.page.tap("#status-link")
    ui.page.locator(".card").nth(4).wait_for()
    ui.screenshot(f"panel-status-{ui.look}")
    ui.page.tap("#new-chat")
    ui.page.locator(".welcome").wait_for()


def test_the_page_can_be_installed(open_ui: Open, daemon: Daemon) -> None:
    """Its manifest has a name, a start and icons of the sizes that they say; Chromium finds no fault with it."""
    ui = open_ui(daemon.port)
    session = ui.context.new_cdp_session(ui.page)
    found = session.send("Page.getAppManifest")
    assert found["errors"] == []
    manifest = json.loads(found["data"])
    assert found["url"] == f"{ui.url}/ui/manifest.webmanifest"
    assert manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        size = ui.page.evaluate(
            "async (src) => { const image = new Image(); image.src = `/ui/${src}`; await image.decode();"
            " return image.naturalWidth }",
            icon["src"],
        )
        assert icon["sizes"] in ("any", f"{size}x{size}")
    faults = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [fault["errorId"] for fault in faults if fault["errorId"] != "in-incognito"] == []


SPEECH = """
window.said = [];
window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
Object.defineProperty(window, "speechSynthesis", { value: {
  speak: (utterance) => { window.said.push([utterance.lang, utterance.text]); window.speaks = utterance; },
  cancel: () => { window.speaks?.onend(); window.speaks = null; },
} });
window.SpeechRecognition = window.webkitSpeechRecognition = class {
  start() { window.listens = this; }
  stop() { window.listens = null; this.onend(); }
};
"""
"""A browser's speech that can be looked at: no sound leaves the machine of the tests."""


def with_speech(ui: Ui, script: str) -> Any:
    ui.page.add_init_script(script)
    ui.page.reload()
    return ui.page


def test_an_answer_is_read_aloud(open_ui: Open, daemon: Daemon) -> None:
    """Without its marks and its code, in its language; a second press stops it."""
    ui = open_ui(daemon.port)
    page = with_speech(ui, SPEECH)
    ui.ask_and_wait("**Well**, `x`:\n\n```\ncode\n```\nthat is all.")
    page.locator(".speak").click()
    ((language, text),) = page.evaluate("window.said")
    assert language == "en-GB"
    assert re.sub(r"\s+", " ", text) == " Well , x : that is all."
    assert page.locator(".speak").get_attribute("aria-pressed") == "true"
    page.locator(".speak").click()
    assert page.locator(".speak").get_attribute("aria-pressed") == "false"
    ui.ask_and_wait("今天天气很好")
    page.locator(".speak").last.click()
    assert page.evaluate("window.said")[1] == ["zh-CN", "今天天气很好"]


def test_a_question_is_spoken_while_the_button_is_held(open_ui: Open, daemon: Daemon) -> None:
    """What is heard is added to what was typed, and nothing is sent by itself."""
    ui = open_ui(daemon.port)
    page = with_speech(ui, SPEECH)
    page.fill("#question", "Please:")
    page.locator("#talk").hover()
    page.mouse.down()
    expect(page.locator("#talk.listening")).to_have_count(1)
    page.evaluate("window.listens.onresult({ results: [[{ transcript: 'open the' }], [{ transcript: ' valve' }]] })")
    assert page.input_value("#question") == "Please: open the valve"
    page.mouse.up()
    wait_until(lambda: page.locator("#talk.listening").count() == 0)
    expect(page.locator(".question")).to_have_count(0)


def test_a_browser_without_speech_has_no_buttons_for_it(open_ui: Open, daemon: Daemon) -> None:
    ui = open_ui(daemon.port)
    page = with_speech(
        ui,
        "for (const name of ['SpeechRecognition', 'webkitSpeechRecognition', 'speechSynthesis',"
        " 'SpeechSynthesisUtterance']) delete window[name];",
    )
    ui.ask_and_wait("hello")
    expect(page.locator(".speak")).to_have_count(0)
    assert page.locator("#talk").is_hidden()
