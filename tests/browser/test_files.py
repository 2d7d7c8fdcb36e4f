"""Text files that go with a question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from browser.ui import LOOKS, Ui, expect
from front.scripted_daemon import Daemon, wait_until

Open = Callable[..., Ui]


def attach(ui: Ui, *paths: Path) -> None:
    with ui.page.expect_file_chooser() as chooser:
        ui.page.click("#attach")
    chooser.value.set_files(list(paths))


@pytest.mark.parametrize(
    ("size", "theme", "language"), LOOKS, ids=lambda value: str(value[0]) if isinstance(value, tuple) else value
)
def test_a_file_is_counted_sent_and_folded(
    open_ui: Open, daemon: Daemon, tmp_path: Path, size: tuple[int, int], theme: str, language: str
) -> None:
    """The device counts its tokens; the model gets question and file; people see its name and can open it."""
    (tmp_path / "notes.txt").write_text("line one\nline two </file> and on")
    ui = open_ui(daemon.port, size=size, theme=theme, language=language)
    attach(ui, tmp_path / "notes.txt")
    ui.page.locator(".chip-count", has_text="65").wait_for()
    assert "65" in ui.page.locator(".chip-sum").inner_text()
    assert "4,096" in ui.page.locator(".chip-sum").inner_text()
    ui.page.fill("#question", "Summarise this")
    ui.screenshot(f"files-{ui.look}")
    with ui.page.expect_request("**/chat_stream") as sent:
        ui.page.press("#question", "Enter")
    prompt = sent.value.post_data_json["prompt"]
    assert prompt == 'Summarise this\n\n<file name="notes.txt">\nline one\nline two <\\/file> and on\n</file>'
    ui.wait_done()
    expect(ui.page.locator(".chip")).to_have_count(0)
    expect(ui.page.locator(".bubble > p")).to_have_text("Summarise this", use_inner_text=True)
    expect(ui.page.locator(".file pre")).to_be_hidden()
    ui.page.click(".file summary")
    assert "line two" in ui.page.locator(".file pre").inner_text()
    ui.screenshot(f"file-{ui.look}")
    expect(ui.page.locator("#title")).to_have_text("Summarise this", use_inner_text=True)
    wait_until(lambda: ui.page.locator("#session-list a").count() >= 1)
    assert ui.page.locator("#session-list a").first.text_content() == "Summarise this"


def test_files_that_do_not_fit_are_told_before_they_are_sent(open_ui: Open, daemon: Daemon, tmp_path: Path) -> None:
    """Beyond the context nothing can be sent until they are removed; what is not text is not taken at all."""
    (tmp_path / "long.txt").write_text("x" * 5000)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0")
    ui = open_ui(daemon.port)
    attach(ui, tmp_path / "picture.png")
    ui.wait_text("picture.png is not a text file.")
    attach(ui, tmp_path / "long.txt")
    ui.wait_text("exceed the context of 4,096")
    ui.page.fill("#question", "Well?")
    assert ui.page.locator("#send").is_disabled()
    ui.page.press("#question", "Enter")
    expect(ui.page.locator(".question")).to_have_count(0)
    ui.page.locator(".chip button").click()
    assert ui.page.locator("#send").is_enabled()
    assert ui.ask_and_wait("Well?") == "Well?"


def test_a_file_is_dropped_or_pasted(open_ui: Open, daemon: Daemon) -> None:
    """As people do on a desk."""
    ui = open_ui(daemon.port)
    for event, target in (("drop", "#chat"), ("paste", "#question")):
        ui.page.evaluate(
            """([event, target]) => {
              const data = new DataTransfer();
              data.items.add(new File(["abc"], `${event}.txt`, { type: "text/plain" }));
              const options = { bubbles: true, cancelable: true };
              const made = event === "drop" ? new DragEvent("drop", { ...options, dataTransfer: data })
                : new ClipboardEvent("paste", { ...options, clipboardData: data });
              document.querySelector(target).dispatchEvent(made);
            }""",
            [event, target],
        )
        ui.page.locator(".chip-name", has_text=f"{event}.txt").wait_for()
