"""Conversations on the device, as the sidebar shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from browser.ui import Ui, expect
from front.scripted_daemon import Daemon, running, wait_until

Open = Callable[..., Ui]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon without any conversation."""
    with running() as started:
        yield started.wait_ready()


def titles(ui: Ui) -> list[str]:
    return [str(title) for title in ui.page.locator("#session-list a").all_inner_texts()]


def wait_titles(ui: Ui, expected: list[str]) -> None:
    wait_until(lambda: titles(ui) == expected)


def choose(ui: Ui, title: str, action: str) -> None:
    """An entry of a conversation's menu."""
    ui.page.locator(f'[aria-label="Actions for “{title}”"]').click()
    ui.page.locator("[role=menu]").get_by_text(action, exact=True).click()


def test_a_reload_finds_the_conversation(open_ui: Open, daemon: Daemon) -> None:
    """Messages, title, thoughts and the place in the list; other tabs find it as well."""
    ui = open_ui(daemon.port)
    ui.ask_and_wait("<think>Short.</think>My first question")
    expect(ui.page.locator("#title")).to_have_text("<think>Short.</think>My first question", use_inner_text=True)
    wait_titles(ui, ["<think>Short.</think>My first question"])
    ui.page.reload()
    ui.page.locator(".answer").wait_for()
    assert ui.answer() == "My first question"
    expect(ui.page.locator(".thinking summary")).to_have_count(1)
    expect(ui.page.locator("#session-list [aria-current=page]")).to_have_count(1)
    other = open_ui(daemon.port)
    other.page.locator("#session-list a").click()
    other.page.locator(".answer").wait_for()
    assert other.answer() == "My first question"


def test_a_reload_in_the_middle_of_the_first_answer_keeps_what_had_come(open_ui: Open, daemon: Daemon) -> None:
    """The device has what this page had shown."""
    ui = open_ui(daemon.port)
    ui.ask("slow repeat:100 and so on ")
    ui.wait_streaming(12)
    ui.page.reload()
    ui.wait_done()
    ui.page.locator(".answer").wait_for()
    assert ui.answer().startswith("slow repeat")
    expect(ui.page.locator(".question")).to_have_count(1)


def test_the_model_sees_the_conversation(open_ui: Open, daemon: Daemon) -> None:
    """A second question goes to the same session, a new conversation to another."""
    ui = open_ui(daemon.port)
    ui.ask_and_wait("one")
    ui.ask_and_wait("two")
    ui.page.click("#new-chat")
    ui.wait_text("What would you like to know?")
    ui.ask_and_wait("three")
    sessions = json.loads(daemon.request("GET", "/v1/sessions")[2])["sessions"]
    assert [(session["title"], session["turns"]) for session in sessions] == [("three", 1), ("one", 2)]
    wait_titles(ui, ["three", "one"])
    ui.page.locator("#session-list a", has_text="one").click()
    ui.page.locator(".question").nth(1).wait_for()
    assert ui.page.locator(".question").all_inner_texts() == ["one", "two"]
    ui.page.go_back()
    wait_until(lambda: ui.page.locator(".question").all_inner_texts() == ["three"])


def test_a_conversation_is_renamed(open_ui: Open, daemon: Daemon) -> None:
    """In the list, in the title, on the device."""
    ui = open_ui(daemon.port)
    ui.ask_and_wait("hello")
    wait_titles(ui, ["hello"])
    choose(ui, "hello", "Rename")
    assert ui.page.input_value("#dialog-field") == "hello"
    ui.page.fill("#dialog-field", "  A better name ")
    ui.page.keyboard.press("Enter")
    wait_titles(ui, ["A better name"])
    wait_until(lambda: ui.page.locator("#title").inner_text() == "A better name")
    assert json.loads(daemon.request("GET", "/v1/sessions")[2])["sessions"][0]["title"] == "A better name"


def test_a_conversation_is_cleared_after_a_question(open_ui: Open, daemon: Daemon) -> None:
    """Cancel changes nothing; clear empties it and keeps it."""
    ui = open_ui(daemon.port)
    ui.ask_and_wait("secret")
    wait_titles(ui, ["secret"])
    choose(ui, "secret", "Clear")
    assert ui.focused() == "Cancel", "what cannot be undone is not one Enter away"
    ui.page.keyboard.press("Enter")
    expect(ui.page.locator(".question")).to_have_count(1)
    choose(ui, "secret", "Clear")
    ui.page.locator("dialog button.danger").click()
    ui.wait_text("The conversation is empty now.")
    expect(ui.page.locator(".question")).to_have_count(0)
    wait_titles(ui, ["secret"])
    session = json.loads(daemon.request("GET", "/v1/sessions")[2])["sessions"][0]
    assert json.loads(daemon.request("GET", f"/v1/sessions/{session['id']}")[2])["messages"] == []
    assert ui.ask_and_wait("again") == "again"


def test_a_conversation_is_deleted_even_while_it_is_answered(open_ui: Open, daemon: Daemon) -> None:
    """It leaves the list and the device, and the page shows a new one."""
    ui = open_ui(daemon.port)
    ui.ask_and_wait("keep me")
    ui.page.click("#new-chat")
    ui.ask("slow repeat:100 delete me ")
    ui.wait_streaming(5)
    ui.page.locator("#session-list button").first.click()
    ui.page.locator("[role=menu]").get_by_text("Delete").click()
    ui.page.locator("dialog button.danger").click()
    ui.wait_text("The conversation is deleted.")
    wait_titles(ui, ["keep me"])
    ui.wait_text("What would you like to know?")
    assert [each["title"] for each in json.loads(daemon.request("GET", "/v1/sessions")[2])["sessions"]] == ["keep me"]


def test_a_conversation_is_exported_as_a_file(open_ui: Open, daemon: Daemon, tmp_path: Path) -> None:
    """JSON with every message."""
    ui = open_ui(daemon.port)
    ui.ask_and_wait("take me along")
    wait_titles(ui, ["take me along"])
    with ui.page.expect_download() as download:
        choose(ui, "take me along", "Export as JSON")
    download.value.save_as(tmp_path / "export.json")
    document = json.loads((tmp_path / "export.json").read_text())
    assert [message["content"] for message in document["messages"]] == ["take me along", "take me along"]
    assert download.value.suggested_filename.endswith(".json")


def test_an_answer_goes_on_while_another_conversation_is_shown(open_ui: Open, daemon: Daemon) -> None:
    """Leaving does not stop it; coming back shows it as far as it is."""
    ui = open_ui(daemon.port)
    ui.ask("slow repeat:10 background ")
    ui.wait_streaming(5)
    ui.page.click("#new-chat")
    assert ui.ask_and_wait("foreground") == "foreground"
    ui.page.locator("#session-list a", has_text="background").click()
    ui.wait_done()
    assert ui.answer().count("background") == 10


def test_the_system_prompt_belongs_to_the_conversation(open_ui: Open, daemon: Daemon) -> None:
    """Sent with the first question, kept by the device, changed later, absent from a new conversation."""
    ui = open_ui(daemon.port)
    ui.page.click("#settings-open")
    ui.page.fill("#system", "Answer in rhyme.")
    ui.page.keyboard.press("Escape")
    ui.ask_and_wait("hello")
    ui.page.reload()
    ui.page.locator(".answer").wait_for()
    ui.page.click("#settings-open")
    assert ui.page.input_value("#system") == "Answer in rhyme."
    ui.page.fill("#system", "Answer in prose.")
    with ui.page.expect_response(lambda response: response.request.method == "PATCH"):
        ui.page.keyboard.press("Escape")
    session = json.loads(daemon.request("GET", "/v1/sessions")[2])["sessions"][0]
    assert json.loads(daemon.request("GET", f"/v1/sessions/{session['id']}")[2])["system"] == "Answer in prose."
    ui.page.click("#new-chat")
    ui.page.click("#settings-open")
    assert ui.page.input_value("#system") == ""


def test_a_new_conversation_waits_while_somebody_looks_at_the_status(open_ui: Open, daemon: Daemon) -> None:
    """Its system prompt and the half question are still there."""
    ui = open_ui(daemon.port)
    ui.page.fill("#question", "half a")
    ui.page.click("#settings-open")
    ui.page.fill("#system", "Answer in rhyme.")
    ui.page.keyboard.press("Escape")
    ui.page.click("#status-link")
    ui.page.locator(".card").first.wait_for()
    expect(ui.page.locator("#title")).to_have_text("Status", use_inner_text=True)
    ui.page.go_back()
    ui.wait_text("New conversation", "#title")
    assert ui.page.input_value("#question") == "half a"
    with ui.page.expect_request("**/chat_stream") as sent:
        ui.ask_and_wait("hello")
    assert sent.value.post_data_json["system"] == "Answer in rhyme."


def test_an_address_of_a_deleted_conversation_is_explained(open_ui: Open, daemon: Daemon) -> None:
    """A bookmark that leads nowhere offers the way on."""
    ui = open_ui(daemon.port, path="/#/chat/nowhere")
    ui.wait_text("This conversation no longer exists.")
    ui.page.locator("#transcript button").click()
    ui.wait_text("What would you like to know?")
    assert ui.ask_and_wait("hello") == "hello"


def test_long_lists_come_in_pages(open_ui: Open, daemon: Daemon) -> None:
    """The first hundred, and more on demand."""
    for number in range(103):
        status, _, _ = daemon.request("POST", "/chat", {"prompt": f"q{number}", "session_id": f"s{number}"})
        assert status == 200
    ui = open_ui(daemon.port)
    ui.page.locator("#session-list a").nth(99).wait_for()
    assert len(titles(ui)) == 100
    ui.screenshot("long-list-1024x600-light-en")
    ui.page.click("text=Show older ones")
    wait_titles(ui, [f"q{number}" for number in reversed(range(103))])
    expect(ui.page.locator("text=Show older ones")).to_have_count(0)
