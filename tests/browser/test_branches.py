"""What can be done with a question and its answer: edit, ask again, page through branches, continue, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from browser.ui import LOOKS, PHONE, Ui, expect
from front.scripted_daemon import Daemon, wait_until

Open = Callable[..., Ui]
looks = pytest.mark.parametrize(
    ("size", "theme", "language"), LOOKS, ids=lambda value: str(value[0]) if isinstance(value, tuple) else value
)


def questions(ui: Ui) -> list[str]:
    return [str(text) for text in ui.page.locator(".question").all_inner_texts()]


def answers(ui: Ui) -> list[str]:
    return [str(text) for text in ui.page.locator(".answer > .prose").all_inner_texts()]


def pager(ui: Ui, turn: int = -1) -> Any:
    return ui.page.locator(".answer").nth(turn).locator(".pager")


@looks
def test_a_question_is_edited_and_its_branches_are_paged_through(
    open_ui: Open, daemon: Daemon, size: tuple[int, int], theme: str, language: str
) -> None:
    """The old question and what followed it are one press away, also after a reload."""
    ui = open_ui(daemon.port, size=size, theme=theme, language=language)
    for text in ("one", "two", "three"):
        ui.ask_and_wait(text)
    ui.choose(ui.page.locator(".question .more").nth(1), "pencil")
    assert ui.page.input_value(".edit") == "two"
    ui.page.fill(".edit", "TWO")
    ui.screenshot(f"edit-{ui.look}")
    ui.page.press(".edit", "Enter")
    ui.wait_done()
    assert questions(ui) == ["one", "TWO"]
    assert answers(ui) == ["one", "TWO"]
    expect(pager(ui)).to_have_text("2 / 2", use_inner_text=True)
    ui.screenshot(f"branches-{ui.look}")
    pager(ui).locator("button").first.click()
    wait_until(lambda: questions(ui) == ["one", "two", "three"])
    expect(pager(ui, 1)).to_have_text("1 / 2", use_inner_text=True)
    ui.page.reload()
    ui.page.locator(".answer").nth(2).wait_for()
    assert questions(ui) == ["one", "two", "three"]
    pager(ui, 1).locator("button").last.click()
    wait_until(lambda: questions(ui) == ["one", "TWO"])
    assert ui.ask_and_wait("recall") == "one|one|TWO|TWO|recall"


def test_an_edit_is_given_up_with_escape(open_ui: Open, daemon: Daemon) -> None:
    """The question stays as it was; the arrow key up in the empty field edits the last one."""
    ui = open_ui(daemon.port)
    ui.ask_and_wait("one")
    ui.page.focus("#question")
    ui.page.keyboard.press("ArrowUp")
    assert ui.page.input_value(".edit") == "one"
    ui.page.keyboard.type(" more")
    ui.page.keyboard.press("Escape")
    assert questions(ui) == ["one"]
    ui.page.focus("#question")
    ui.page.keyboard.press("ArrowUp")
    ui.page.fill(".edit", "one\nand two")
    ui.page.keyboard.press("Enter")
    ui.wait_done()
    assert questions(ui) == ["one\nand two"]


def test_an_answer_is_made_again(open_ui: Open, daemon: Daemon) -> None:
    """Both can be read; the figures of both are still there after a reload."""
    ui = open_ui(daemon.port)
    ui.ask_and_wait("slow hello there")
    ui.page.locator(".regenerate").click()
    wait_until(lambda: pager(ui).count() == 1)
    ui.wait_done()
    expect(pager(ui)).to_have_text("2 / 2", use_inner_text=True)
    assert answers(ui) == ["slow hello there"]
    figures = ui.page.locator(".figures").inner_text()
    assert "tokens/s" in figures
    assert "16 tokens" in figures
    ui.page.reload()
    ui.page.locator(".answer").wait_for()
    assert ui.page.locator(".figures").inner_text() == figures
    pager(ui).locator("button").first.click()
    wait_until(lambda: pager(ui).inner_text() == "1 / 2")


@pytest.mark.parametrize("reloads", [False, True])
def test_an_answer_that_its_limit_cut_goes_on(open_ui: Open, daemon: Daemon, reloads: bool) -> None:
    """At the place where it stopped, as often as needed, with a button that is there after a reload, too."""
    ui = open_ui(daemon.port)
    ui.page.click("#settings-open")
    ui.page.fill("#max_new_tokens", "20")
    ui.page.keyboard.press("Escape")
    text = "The answer to everything, counted twice, is 42."
    assert ui.ask_and_wait(text) == text[:20].rstrip()
    for end in (40, len(text)):
        if reloads:
            ui.page.reload()
        ui.page.locator(".notice button").click()
        wait_until(lambda end=end: ui.answer() == text[:end].rstrip())  # type: ignore[misc]
        ui.wait_done()
    expect(ui.page.locator(".notice")).to_have_count(0)
    expect(ui.page.locator(".pager")).to_have_count(0)
    assert ui.ask_and_wait("recall") == f"{text}|{text}|recall"[:20].rstrip()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_question_is_deleted_with_its_answer(open_ui: Open, daemon: Daemon, language: str) -> None:
    """After a question; what follows stays, and the model no longer sees what was deleted."""
    ui = open_ui(daemon.port, language=language, size=PHONE)
    for text in ("one", "secret", "three"):
        ui.ask_and_wait(text)
    ui.choose(ui.page.locator(".question .more").nth(1), "trash")
    ui.screenshot(f"delete-turn-{ui.look}")
    ui.page.locator("dialog button").first.click()
    assert questions(ui) == ["one", "secret", "three"]
    ui.choose(ui.page.locator(".question .more").nth(1), "trash")
    ui.page.locator("dialog button.danger").click()
    wait_until(lambda: questions(ui) == ["one", "three"])
    assert ui.ask_and_wait("recall") == "one|one|three|three|recall"


def test_nothing_is_changed_while_an_answer_is_under_way(open_ui: Open, daemon: Daemon) -> None:
    """Its conversation belongs to it until it ends."""
    ui = open_ui(daemon.port)
    ui.ask_and_wait("one")
    ui.ask("slow repeat:100 and so on ")
    ui.wait_streaming(5)
    ui.page.locator(".regenerate").first.click()
    assert questions(ui)[0] == "one"
    expect(ui.page.locator(".answer")).to_have_count(2)
    ui.page.keyboard.press("Escape")
    ui.wait_done()
