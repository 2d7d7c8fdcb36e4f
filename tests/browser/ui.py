"""The web UI as a person sees it: what can be typed, pressed and read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from front.scripted_daemon import wait_until

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
TOUCH = (1024, 600)
DESK = (1440, 900)
PHONE = (390, 844)
LOOKS = (
    (DESK, "light", "en"),
    (TOUCH, "dark", "zh"),
    (PHONE, "light", "zh"),
    (PHONE, "dark", "en"),
)
"""Each size, theme and language, without all of their combinations."""
BOARD = "kitchen.local"
"""A name of this machine that the browser of the tests knows, as others know a board's by mDNS."""
TIMEOUT_MS = 20_000
# The browser itself writes these to the console when an answer is not 200 or a connection fails, which the tests provoke,
# and when a page that comes by plain HTTP from another machine has a header that is for HTTPS.
EXPECTED = re.compile(r"Failed to load resource|net::ERR_|The Cross-Origin-Opener-Policy header has been ignored")


def expect(locator: Any, message: str | None = None) -> Any:
    """Playwright's, which looks again until it holds: the page does what a person asks for a moment later."""
    from playwright.sync_api import expect as expect_of_playwright  # not installed everywhere

    expect_of_playwright.set_options(timeout=TIMEOUT_MS)
    return expect_of_playwright(locator, message)


class Ui:
    """A page in its own context. `errors` collects uncaught exceptions, console errors and blocked resources."""

    def __init__(
        self,
        browser: Any,
        port: int,
        *,
        path: str = "/",
        host: str = "127.0.0.1",
        size: tuple[int, int] = TOUCH,
        theme: str = "light",
        language: str = "en",
        touch: bool = False,
        waits: bool = True,
    ) -> None:
        self.errors: list[str] = []
        self._look = f"{size[0]}x{size[1]}-{theme}-{language}"
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=theme,
            locale={"en": "en-GB", "zh": "zh-CN"}[language],
            has_touch=touch,
            accept_downloads=True,
        )
        self.context.set_default_timeout(TIMEOUT_MS)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._console)
        self.url = f"http://{host}:{port}"
        self.page.goto(self.url + path)
        if waits:
            self.page.locator("#device:not([data-state=connecting])").wait_for()

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not EXPECTED.search(message.text):
            self.errors.append(message.text)

    def ask(self, text: str) -> None:
        """Type a question and press Enter."""
        self.page.fill("#question", text)
        self.page.press("#question", "Enter")

    def ask_and_wait(self, text: str) -> str:
        """The whole answer, once it is complete."""
        self.ask(text)
        self.wait_done()
        return self.answer()

    def answer(self) -> str:
        """The text of the last answer so far."""
        return str(self.page.locator(".answer").last.locator(":scope > .prose").inner_text())

    def wait_streaming(self, characters: int) -> None:
        """Wait until the answer has this many characters."""
        self.page.locator(".answer").last.wait_for()
        wait_until(lambda: len(self.answer()) >= characters, TIMEOUT_MS / 1000)

    def wait_done(self) -> None:
        self.page.locator(".answer:not([aria-busy])").last.wait_for()
        self.page.locator("#send:not(.stop)").wait_for()

    def choose(self, button: Any, icon: str) -> None:
        """An entry of the menu behind a button, by its icon, in any language."""
        button.evaluate("(element) => element.click()")  # it shows itself to a mouse only when that is near
        self.page.locator(f"[role=menu] button:has(.icon-{icon})").first.click()

    def wait_text(self, text: str, selector: str = "body") -> None:
        self.page.locator(selector).get_by_text(text).first.wait_for()

    def screenshot(self, name: str) -> None:
        """Save a screenshot to build/screenshots for visual inspection."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")

    @property
    def look(self) -> str:
        """Size, theme and language, for the name of a screenshot."""
        return self._look

    def focused(self) -> str:
        """The id of the focused element, else its accessible name or text."""
        return str(
            self.page.evaluate(
                "(({id, textContent, ariaLabel}) => id || ariaLabel || textContent.trim())(document.activeElement)"
            )
        )
