"""Language, theme and window sizes: screenshots of the page, and limits on the bytes that it loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from browser.ui import DESK, PHONE, TOUCH, Ui, expect
from front.scripted_daemon import Daemon, wait_until

Open = Callable[..., Ui]
SIZES = (DESK, TOUCH, PHONE)


def size_id(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


SHOWCASE = {
    "en": """<think>The reader wants the gist first, then the numbers.</think>## Heat pumps in short

A heat pump **moves** heat instead of making it. Three things decide how well:

1. the temperature *outside*,
2. the temperature of the radiators, and
3. the compressor, see `cop()` below.

| outside | COP |
|---|--:|
| −7 °C | 2.6 |
| 7 °C | 4.1 |

```python
def cop(heat_out, power_in):
    return heat_out / power_in
```

> A COP of 4 gives four kilowatts of heat for one of power.""",
    "zh": """<think>先讲要点，再给数字。</think>## 热泵简介

热泵**搬运**热量，而不是制造热量。效率取决于三点：

1. 室外温度，
2. 散热器的温度，
3. 压缩机，见下面的 `cop()`。

| 室外 | 能效比 |
|---|--:|
| −7 °C | 2.6 |
| 7 °C | 4.1 |

```python
def cop(heat_out, power_in):
    return heat_out / power_in
```

> 能效比为 4 时，一千瓦电可以带来四千瓦热。""",
}


QUESTION = {"en": "Explain to me how a heat pump works in a very cold winter", "zh": "请解释热泵在寒冷的冬天如何工作"}


def show_list(ui: Ui) -> None:
    """The list of conversations; on a phone it lies over the page, and a choice in it closes it."""
    if ui.page.locator("#sidebar").is_hidden():
        ui.page.click("#sidebar-toggle")
    ui.page.locator("#session-list a").first.wait_for()


def tour(ui: Ui, language: str) -> Iterator[str]:
    """Show every view of the page in turn; yields its name while it is visible."""
    ui.page.locator(".welcome").wait_for()
    yield "welcome"
    ui.ask_and_wait(QUESTION[language])
    ui.ask_and_wait(SHOWCASE[language])
    yield "chat-end"
    ui.page.locator(".thinking summary").click()
    ui.page.locator(".thinking").scroll_into_view_if_needed()
    yield "chat-thinking"
    ui.page.click("#settings-open")
    yield "settings"
    ui.page.keyboard.press("Escape")
    show_list(ui)
    yield "list"
    ui.page.locator("#session-list button").first.click()
    yield "menu"
    ui.page.locator("[role=menu] .danger").click()
    yield "dialog"
    ui.page.keyboard.press("Escape")
    if ui.page.locator("#scrim").is_visible():
        ui.page.keyboard.press("Escape")
    ui.ask_and_wait("long")
    yield "error"
    show_list(ui)
    ui.page.click("#status-link")
    ui.page.locator(".card").nth(4).wait_for()
    yield "status"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=size_id)
def test_the_pages_fit_every_screen(
    open_ui: Open, daemon: Daemon, size: tuple[int, int], theme: str, language: str
) -> None:
    """Nothing is wider than the window; a picture of each page is kept in build/screenshots."""
    name = f"{size[0]}x{size[1]}-{theme}-{language}"
    ui = open_ui(daemon.port, size=size, theme=theme, language=language)

    def look(page: str) -> None:
        ui.screenshot(f"{page}-{name}")
        # The body clips, so each part is asked.
        wide = ui.page.evaluate(
            "[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('.prose, a'))"
            ".filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 200))"
        )
        assert wide == [], page

    for page in tour(ui, language):
        look(page)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=size_id)
def test_axe_finds_no_serious_fault(
    open_ui: Open, daemon: Daemon, size: tuple[int, int], theme: str, language: str
) -> None:
    """Contrast, names, roles, focus order: axe-core's rules on every page and dialog."""
    axe_module = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is part of the extra [dev]"
    )
    axe = axe_module.Axe()
    ui = open_ui(daemon.port, size=size, theme=theme, language=language)

    def check(page: str) -> None:
        violations = axe.run(ui.page).response["violations"]
        serious: list[Any] = [
            (page, violation["id"], [node["html"][:200] for node in violation["nodes"]])
            for violation in violations
            if violation["impact"] in ("serious", "critical")
        ]
        assert serious == []

    for page in tour(ui, language):
        check(page)


def test_the_first_paint_weighs_little(open_ui: Open, daemon: Daemon) -> None:
    """What is transferred until a question can be asked, headers included: at most 80 KB, and nothing from another host."""
    ui = open_ui(daemon.port)
    session = ui.context.new_cdp_session(ui.page)
    transferred = 0.0
    addresses = set()

    def count(event: dict[str, Any]) -> None:
        nonlocal transferred
        transferred += event["encodedDataLength"]

    session.on("Network.loadingFinished", count)
    session.on("Network.requestWillBeSent", lambda event: addresses.add(event["request"]["url"]))
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    ui.page.reload()
    ui.page.locator(".welcome").wait_for()
    ui.page.locator("#device[data-state=ready]").wait_for()
    ui.page.wait_for_load_state("networkidle")
    print(f"\n{transferred / 1000:.1f} KB in {len(addresses)} requests")
    assert transferred > 10_000
    assert transferred <= 80_000
    assert {address for address in addresses if not address.startswith(ui.url)} == set()


def test_the_language_is_switched_and_remembered(open_ui: Open, daemon: Daemon) -> None:
    """At once, without a reload, for screen readers too, and still after one; what was said stays as it was said."""
    ui = open_ui(daemon.port)
    ui.ask_and_wait("Hello!")
    ui.page.click("#language")
    assert ui.page.locator("html").get_attribute("lang") == "zh"
    expect(ui.page.locator("#new-chat")).to_have_text("新对话", use_inner_text=True)
    assert ui.page.get_attribute("#question", "placeholder") == "请输入问题"
    assert ui.page.locator(".figures").inner_text().count("token/秒") <= 1
    assert "秒" in ui.page.locator(".figures").inner_text()
    expect(ui.page.locator("#session-list h2").first).to_have_text("今天", use_inner_text=True)
    assert ui.answer() == "Hello!"
    ui.page.reload()
    expect(ui.page.locator("#new-chat")).to_have_text("新对话", use_inner_text=True)
    ui.page.click("#language")
    expect(ui.page.locator("#new-chat")).to_have_text("New conversation", use_inner_text=True)


def test_a_chinese_browser_gets_a_chinese_page(open_ui: Open, daemon: Daemon) -> None:
    """The browser's language applies until the user chooses one."""
    ui = open_ui(daemon.port, language="zh")
    expect(ui.page.locator("#new-chat")).to_have_text("新对话", use_inner_text=True)
    assert ui.page.locator("html").get_attribute("lang") == "zh"


def test_the_theme_is_switched_and_remembered(open_ui: Open, daemon: Daemon) -> None:
    """As the system (which may change), light, dark; the choice is there before the first paint of the next visit."""
    ui = open_ui(daemon.port, theme="dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = ui.page.evaluate(ground)
    ui.page.emulate_media(color_scheme="light")
    wait_until(lambda: ui.page.evaluate(ground) != dark)
    ui.page.click("#theme")
    expect(ui.page.locator("#theme")).to_have_text("Light", use_inner_text=True)
    ui.page.click("#theme")
    expect(ui.page.locator("#theme")).to_have_text("Dark", use_inner_text=True)
    assert ui.page.evaluate(ground) == dark
    ui.page.route("**/main.js", lambda route: route.abort())
    ui.page.reload()
    assert ui.page.evaluate(ground) == dark, "without any module"
    ui.page.unroute("**/main.js")


def test_everything_that_is_pressed_is_as_large_as_a_finger(open_ui: Open, daemon: Daemon) -> None:
    """44 pixels at least, both ways, on the chat page, in the menu, the panel and a dialog."""
    ui = open_ui(daemon.port, touch=True)
    small = """() => [...document.querySelectorAll("button, a, input, select, textarea, summary")]
      .filter((element) => element.checkVisibility() && element.id !== "skip-link" && !element.closest(".prose p"))
      .map((element) => [element.id || element.textContent || element.ariaLabel, element.getBoundingClientRect()])
      .filter(([, box]) => box.width > 0 && (box.width < 43.5 || box.height < 43.5))
      .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""
    assert ui.page.evaluate(small) == []
    ui.ask_and_wait(SHOWCASE["en"])
    ui.page.locator("#session-list a").first.wait_for()
    assert ui.page.evaluate(small) == []
    ui.page.tap("#settings-open")
    ui.page.locator("dialog[open]").wait_for()
    assert ui.page.evaluate(small) == []
    ui.page.keyboard.press("Escape")
    ui.page.locator("#session-list button").first.tap()
    assert ui.page.evaluate(small) == []
    ui.page.locator("[role=menu] .danger").tap()
    assert ui.page.evaluate(small) == []


def test_the_page_does_not_jump_when_an_answer_ends(open_ui: Open, daemon: Daemon) -> None:
    """Its last line stays where it was: the room for the figures is there from the beginning."""
    ui = open_ui(daemon.port)
    ui.ask("slow hello there")
    ui.wait_streaming(1)
    height = "document.querySelector('.answer').getBoundingClientRect().height"
    before = ui.page.evaluate(height)
    ui.wait_done()
    assert ui.page.evaluate(height) == before


def test_on_a_narrow_screen_the_list_is_a_sheet(open_ui: Open, daemon: Daemon) -> None:
    """Closed at first, opened by its button, closed by Escape, a press beside it and a choice."""
    ui = open_ui(daemon.port, size=(480, 800))
    sidebar = ui.page.locator("#sidebar")
    assert sidebar.is_hidden()
    ui.screenshot("narrow-480x800-light-en")
    ui.page.click("#sidebar-toggle")
    assert sidebar.is_visible()
    ui.screenshot("narrow-list-480x800-light-en")
    ui.page.keyboard.press("Escape")
    assert sidebar.is_hidden()
    ui.page.click("#sidebar-toggle")
    ui.page.mouse.click(470, 400)
    assert sidebar.is_hidden()
    ui.page.click("#sidebar-toggle")
    ui.page.click("#status-link")
    assert sidebar.is_hidden()
    expect(ui.page.locator("#status-page")).to_be_visible()
