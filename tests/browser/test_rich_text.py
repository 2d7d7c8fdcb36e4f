"""Formulas, coloured code and task lists in answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from browser.ui import LOOKS, PHONE, Ui, expect
from front.scripted_daemon import Daemon, wait_until
from youtu_edge.front.http.static_files import LIBRARIES

Open = Callable[..., Ui]
built = pytest.mark.skipif(
    not (LIBRARIES / "temml.js").is_file(),
    reason="not built, npm is needed: python3 web/copy_libraries.py daemon/youtu_edge/front/libraries",
)
FORMULAS = r"""Inline $e^{i\pi} + 1 = 0$ and \(a \neq b\), prices of $5 and $6.

$$
\int_0^1 x^2 \, dx = \frac{1}{3}, \quad \mathscr{L}\{f\}
$$

\[ \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} \vec{v} = \sqrt[3]{x} \]

- in a list: $x_{1,2} = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}$

| formula | |
|---|---|
| $\sum_{k=1}^n k$ | $\frac{n(n+1)}{2}$ |

Not one: $\frac{$ and `$code$`."""
CODE = """```python
def mean(values: list[float]) -> float:
    \"\"\"The mean.\"\"\"
    return sum(values) / len(values)  # not empty
```

```js
const answer = { "is": 42, text: `<b>${6 * 7}</b>` };
```

```html
<p class="a">Text &amp; more</p>
```

```nonsense
what is this
```"""
TASKS = """- [x] Fill the tank
- [ ] Check the **pressure**
- An item"""


@built
@pytest.mark.parametrize(
    ("size", "theme", "language"), LOOKS, ids=lambda value: str(value[0]) if isinstance(value, tuple) else value
)
def test_formulas_are_typeset(open_ui: Open, daemon: Daemon, size: tuple[int, int], theme: str, language: str) -> None:
    """In all four delimiters, as MathML; a price is none, and what is no formula stays its source."""
    ui = open_ui(daemon.port, size=size, theme=theme, language=language)
    ui.ask(FORMULAS)
    ui.wait_done()
    wait_until(lambda: ui.page.locator(".answer math").count() == 7)
    expect(ui.page.locator(".answer math[display=block], .answer .math-block math")).to_have_count(2)
    text = ui.answer()
    assert "prices of $5 and $6." in text
    assert r"Not one: $\frac{$ and $code$." in text
    assert ui.page.evaluate("document.fonts.check('16px Temml')")
    ui.screenshot(f"formulas-{ui.look}")
    wide = (
        "document.documentElement.scrollWidth <= innerWidth && document.querySelector('.answer').scrollWidth <= innerWidth"
    )
    assert ui.page.evaluate(wide)


@built
@pytest.mark.parametrize(
    ("size", "theme", "language"), LOOKS, ids=lambda value: str(value[0]) if isinstance(value, tuple) else value
)
def test_code_is_coloured_and_stays_text(
    open_ui: Open, daemon: Daemon, size: tuple[int, int], theme: str, language: str
) -> None:
    """By language, aliases included; an unknown one stays plain; markup in it is never markup."""
    ui = open_ui(daemon.port, size=size, theme=theme, language=language)
    ui.ask(CODE)
    ui.wait_done()
    blocks = ui.page.locator(".code-block code")
    wait_until(lambda: all(blocks.nth(index).locator(".hl-string").count() for index in range(3)))
    expect(blocks.nth(0).locator(".hl-keyword").first).to_have_text("def", use_inner_text=True)
    expect(blocks.nth(3).locator("span")).to_have_count(0)
    expect(blocks.nth(1)).to_have_text('const answer = { "is": 42, text: `<b>${6 * 7}</b>` };', use_inner_text=True)
    expect(ui.page.locator(".answer b")).to_have_count(0)
    ui.screenshot(f"code-{ui.look}")


def test_tasks_have_boxes(open_ui: Open, daemon: Daemon) -> None:
    """Done or not, for screen readers too."""
    ui = open_ui(daemon.port, size=PHONE)
    ui.ask_and_wait(TASKS)
    marks = ui.page.locator(".answer .task-mark")
    assert [marks.nth(index).get_attribute("aria-label") for index in range(marks.count())] == ["Done", "Not done"]
    assert ui.page.locator(".answer li").all_inner_texts() == ["Fill the tank", "Check the pressure", "An item"]
    ui.screenshot("tasks-390x844-light-en")


def test_libraries_are_loaded_only_when_there_is_something_for_them(open_ui: Open, daemon: Daemon) -> None:
    """And from this device."""
    ui = open_ui(daemon.port)
    asked: list[str] = []
    ui.page.on("request", lambda request: asked.append(request.url))
    ui.ask_and_wait("plain text and `code`")
    assert [url for url in asked if url.endswith((".js", ".css"))] == []
    with ui.page.expect_request("**/temml.js"):
        ui.ask("$x$")
    ui.wait_done()
    assert not any("highlight" in url for url in asked)
    assert all(url.startswith(ui.url) for url in asked)


def test_without_the_libraries_sources_stay_as_they_are(open_ui: Open, daemon: Daemon) -> None:
    """A build without npm lacks them, and the page is complete but for that."""
    ui = open_ui(daemon.port)
    ui.page.route("**/ui/lib/**", lambda route: route.fulfill(status=404, body=""))
    assert ui.ask_and_wait("Is $x^2$ a formula?") == "Is $x^2$ a formula?"
    ui.ask_and_wait("```python\nx = 1\n```")
    expect(ui.page.locator(".code-block code")).to_have_text("x = 1", use_inner_text=True)
