"""Markdown as the page renders it, and what never becomes markup."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from browser.ui import Ui
from front.scripted_daemon import Daemon

DRAW = """async (text) => {
  const { MarkdownView } = await import("/ui/markdown_view.js");
  const view = new MarkdownView();
  view.update(text);
  view.element.querySelectorAll("button, figcaption, svg").forEach((element) => element.remove());
  for (const element of view.element.querySelectorAll("*"))
    for (const name of element.getAttributeNames())
      if (!["class", "href", "start"].includes(name)) element.removeAttribute(name);
  return view.element.innerHTML;
}"""

GROWS = """async (text) => {
  const { MarkdownView } = await import("/ui/markdown_view.js");
  const whole = new MarkdownView();
  whole.update(text);
  const grown = new MarkdownView();
  for (let end = 0; end <= text.length; end += 1) grown.update(text.slice(0, end));
  return [whole.element.innerHTML, grown.element.innerHTML];
}"""

EVERYTHING = """# One
Text with **bold**, *italic*, `code` and [a link](https://example.org/a_(b)).
Second line

- a
- b
  1. c
  2. d

> quoted
> - inside

| x | y |
|:--|--:|
| 1 | 2 |

```python
def f():
    return "<b>"
```
~~~
never closed
"""


@pytest.fixture(scope="module")
def page(chromium: Any, daemon: Daemon) -> Iterator[Any]:
    """A page of the UI, whose modules the tests import."""
    ui = Ui(chromium, daemon.port)
    yield ui.page
    ui.context.close()


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "<p>plain</p>"),
        ("two\nlines", "<p>two<br>lines</p>"),
        ("a\n\nb", "<p>a</p><p>b</p>"),
        ("## Title ##", '<h4 class="heading-2">Title</h4>'),
        ("#hashtag", "<p>#hashtag</p>"),
        ("**b** *i* ***bi*** ~~s~~", "<p><strong>b</strong> <em>i</em> <strong><em>bi</em></strong> <s>s</s></p>"),
        ("__b__ _i_ snake_case_name", "<p><strong>b</strong> <em>i</em> snake_case_name</p>"),
        ("**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"),
        ("今天**天气：**很好", "<p>今天<strong>天气：</strong>很好</p>"),
        ("2 * 3 * 4 and 5*6", "<p>2 * 3 * 4 and 5*6</p>"),
        ("**not closed", "<p>**not closed</p>"),
        ("`a * b` and ``c ` d``", "<p><code>a * b</code> and <code>c ` d</code></p>"),
        (r"\*stars\* and \\", "<p>*stars* and \\</p>"),
        (
            "[x](https://a.org) <https://b.org>",
            '<p><a href="https://a.org">x</a> <a href="https://b.org">https://b.org</a></p>',
        ),
        ("see https://a.org/x, and", '<p>see <a href="https://a.org/x">https://a.org/x</a>, and</p>'),
        ("见https://a.org/路径。好", '<p>见<a href="https://a.org/路径">https://a.org/路径</a>。好</p>'),
        ("![alt](https://a.org/p.png)", '<p><a href="https://a.org/p.png">alt</a></p>'),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("- a\n\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("1. a\n   - b\n   - c\n2. d", "<ol><li>a<ul><li>b</li><li>c</li></ul></li><li>d</li></ol>"),
        ("* a\n  more", "<ul><li>a<br>more</li></ul>"),
        ("- a\n\n  b", "<ul><li>a<p>b</p></li></ul>"),
        ("- a\n- b\n\ntext", "<ul><li>a</li><li>b</li></ul><p>text</p>"),
        ("text\n- a", "<p>text</p><ul><li>a</li></ul>"),
        ("> a\n> b\n\nc", "<blockquote><p>a<br>b</p></blockquote><p>c</p>"),
        ("a\n\n---\nb", "<p>a</p><hr><p>b</p>"),
        (
            "```py\nx = 1 < 2\n```\nafter",
            '<figure class="code-block"><pre><code>x = 1 &lt; 2</code></pre></figure><p>after</p>',
        ),
        ("```\nopen", '<figure class="code-block"><pre><code>open</code></pre></figure>'),
        ("````\n```\n````", '<figure class="code-block"><pre><code>```</code></pre></figure>'),
        ("- a\n  ```\n  x\n  ```", '<ul><li>a<figure class="code-block"><pre><code>x</code></pre></figure></li></ul>'),
        (
            "| a | b |\n|---|:-:|\n| `x\\|y` | 2 |\n| 3 |",
            '<div class="table-scroll"><table><thead><tr><th class="align-start">a</th><th class="align-center">b</th></tr>'
            '</thead><tbody><tr><td class="align-start"><code>x|y</code></td><td class="align-center">2</td></tr>'
            '<tr><td class="align-start">3</td><td class="align-center"></td></tr></tbody></table></div>',
        ),
        ("a | b", "<p>a | b</p>"),
    ],
)
def test_markdown_is_drawn(page: Any, text: str, html: str) -> None:
    """Each construct, alone."""
    assert page.evaluate(DRAW, text) == html


@pytest.mark.parametrize(
    "text",
    [
        "<script>document.title = 'run'</script>",
        "<img src=x onerror=\"document.title = 'run'\">",
        "**<b onclick=x>**",
        "`<i>`",
        "```html\n<iframe src='https://a.org'></iframe>\n```",
        "| <u> |\n|---|\n| <svg onload=x> |",
        "# <a href='javascript:x'>",
    ],
)
def test_html_in_an_answer_stays_text(page: Any, text: str) -> None:
    """No element comes from what a model wrote: the drawn text still has every < of the source."""
    count = "(text) => import('/ui/markdown_view.js').then(({MarkdownView}) => {"
    count += " const view = new MarkdownView(); view.update(text); document.body.append(view.element);"
    count += " const found = view.element.querySelectorAll('script, img, b, i, u, iframe, svg:not(.icon)').length;"
    count += " const drawn = view.element.textContent; view.element.remove(); return [found, drawn]; })"
    found, drawn = page.evaluate(count, text)
    assert found == 0
    assert drawn.count("<") == text.count("<")
    assert page.title() != "run"


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "//a.org",
        "/chat",
    ],
)
def test_only_addresses_of_the_web_and_of_mail_become_links(page: Any, target: str) -> None:
    """Everything else is shown as it was written."""
    assert page.evaluate(DRAW, f"[x]({target})").count("<a") == 0


def test_drawing_piece_by_piece_ends_like_drawing_at_once(page: Any) -> None:
    """Whatever a stream showed on its way, its end is the whole."""
    whole, grown = page.evaluate(GROWS, EVERYTHING)
    assert grown == whole


@pytest.mark.parametrize(
    "piece", ["*a ", "**a ", "_a ", "`", "``a ", "[", "[a](", "<http", "> ", "- ", "| a ", "#", "\\", "~~a "]
)
def test_long_and_hostile_text_is_read_to_its_end(page: Any, piece: str) -> None:
    """Thousands of marks without an end neither hang the page nor overflow its stack."""
    work = """async ([piece, count]) => {
      const { blocksOf } = await import("/ui/markdown_blocks.js");
      const { inline } = await import("/ui/markdown_inline.js");
      let steps = 0;
      const walk = (blocks) => blocks.forEach((block) => {
        steps += 1;
        if (block.text !== undefined) inline(block.text);
        (block.items || [block.blocks || []]).forEach(walk);
      });
      walk(blocksOf(piece.repeat(count)));
      return steps;
    }"""
    assert page.evaluate(work, [piece, 8000]) >= 1


def test_a_code_block_is_copied_with_its_button(open_ui: Callable[..., Ui], daemon: Daemon) -> None:
    """The clipboard has the code alone, and the button says that it is done."""
    ui = open_ui(daemon.port)
    ui.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ui.ask_and_wait("```python\nprint('hi')\n```")
    ui.page.locator(".code-block .copy").click()
    ui.page.locator(".code-block [aria-label=Copied]").wait_for()
    assert ui.page.evaluate("navigator.clipboard.readText()") == "print('hi')"
