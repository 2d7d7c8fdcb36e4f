"""Conversations are found, exported and imported."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from browser.ui import LOOKS, PHONE, Ui
from front.scripted_daemon import Daemon, running, wait_until

Open = Callable[..., Ui]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon without any conversation."""
    with running() as started:
        yield started.wait_ready()


def listed(ui: Ui) -> list[str]:
    """The titles in the list, without what a search has found."""
    return [
        str(text)
        for text in ui.page.locator("#session-list a").evaluate_all("links => links.map((a) => a.firstChild.textContent)")
    ]


@pytest.mark.parametrize(
    ("size", "theme", "language"), LOOKS, ids=lambda value: str(value[0]) if isinstance(value, tuple) else value
)
def test_a_conversation_is_found_by_what_was_said(
    open_ui: Open, daemon: Daemon, size: tuple[int, int], theme: str, language: str
) -> None:
    """The place is shown; a press opens it; Escape brings the whole list back."""
    for session, prompt in (("a", "The warehouse is damp"), ("b", "今天天气很好"), ("c", "nothing special")):
        daemon.request("POST", "/chat", {"prompt": prompt, "session_id": session})
    ui = open_ui(daemon.port, size=size, theme=theme, language=language)
    if size == PHONE:
        ui.page.click("#sidebar-toggle")
    wait_until(lambda: len(listed(ui)) == 3)
    ui.page.fill("#search", "WAREHOUSE")
    wait_until(lambda: listed(ui) == ["The warehouse is damp"])
    assert "warehouse" in ui.page.locator(".excerpt").inner_text()
    ui.screenshot(f"search-{ui.look}")
    ui.page.fill("#search", "天气")
    wait_until(lambda: listed(ui) == ["今天天气很好"])
    ui.page.fill("#search", "nowhere at all")
    ui.page.locator("#session-list .hint").wait_for()
    ui.page.fill("#search", "damp")
    wait_until(lambda: listed(ui) == ["The warehouse is damp"])
    ui.page.locator("#session-list a").click()
    ui.page.locator(".answer").wait_for()
    assert ui.answer() == "The warehouse is damp"
    if size == PHONE:
        ui.page.click("#sidebar-toggle")
    ui.page.press("#search", "Escape")
    wait_until(lambda: len(listed(ui)) == 3)


@pytest.mark.parametrize("form", ["JSON", "Markdown"])
def test_what_is_exported_is_imported_again(open_ui: Open, daemon: Daemon, tmp_path: Path, form: str) -> None:
    """Both forms hold every message, the system prompt and the title, even messages that look like headings."""
    said = "## User\n\nis a heading\n\\## Assistant"
    daemon.request("POST", "/chat", {"prompt": said, "session_id": "a", "system": "be brief"})
    daemon.request("POST", "/chat", {"prompt": "second", "session_id": "a"})
    daemon.request("PATCH", "/v1/sessions/a", {"title": "A title: 标题"})
    ui = open_ui(daemon.port)
    wait_until(lambda: listed(ui) == ["A title: 标题"])
    ui.page.locator("#session-list button").evaluate("(element) => element.click()")
    with ui.page.expect_download() as download:
        ui.page.locator("[role=menu]").get_by_text(f"Export as {form}").click()
    name = download.value.suggested_filename
    assert name == ("A-title-标题.json" if form == "JSON" else "A-title-标题.md")
    download.value.save_as(tmp_path / name)
    with ui.page.expect_file_chooser() as chooser:
        ui.page.click("#import")
    chooser.value.set_files(tmp_path / name)
    ui.page.locator(".answer").nth(1).wait_for()
    wait_until(lambda: listed(ui) == ["A title: 标题"] * 2)
    imported = ui.page.url.rpartition("/")[2]
    assert imported != "a"
    original, copy = (json.loads(daemon.request("GET", f"/v1/sessions/{name}")[2]) for name in ("a", imported))
    assert [(m["role"], m["content"]) for m in copy["messages"]] == [
        (m["role"], m["content"]) for m in original["messages"]
    ]
    assert (copy["title"], copy["system"]) == (original["title"], original["system"])


@pytest.mark.parametrize("text", ["no conversation", "{}", '{"messages": [', "# Only a title"])
def test_what_is_no_conversation_is_told(open_ui: Open, daemon: Daemon, tmp_path: Path, text: str) -> None:
    """Nothing is made of it."""
    (tmp_path / "file.md").write_text(text)
    ui = open_ui(daemon.port)
    with ui.page.expect_file_chooser() as chooser:
        ui.page.click("#import")
    chooser.value.set_files(tmp_path / "file.md")
    ui.wait_text("This file holds no conversation.")
    assert json.loads(daemon.request("GET", "/v1/sessions")[2])["sessions"] == []
