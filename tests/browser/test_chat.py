"""A person talks to the device: question, stream, stop, waiting, errors. Every test opens a new page."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from browser.ui import Ui, expect
from front.scripted_daemon import Daemon, running, wait_until

Open = Callable[..., Ui]


def test_a_question_is_answered_as_it_streams(open_ui: Open, daemon: Daemon) -> None:
    """Text appears before the answer is complete; then come a copy button, the speed and the time."""
    ui = open_ui(daemon.port)
    ui.ask("slow repeat:4 The quick brown fox. ")
    ui.wait_streaming(5)
    expect(ui.page.locator(".answer[aria-busy=true]")).to_have_count(1)
    expect(ui.page.locator("#send.stop")).to_have_count(1)
    ui.wait_done()
    assert ui.answer().count("The quick brown fox.") == 4
    figures = ui.page.locator(".figures").inner_text()
    assert re.search(r"[\d.]+ tokens/s", figures)
    assert re.search(r"\d tokens", figures)
    assert re.search(r"[\d.]+ s", figures)
    assert ui.page.input_value("#question") == ""


def test_enter_sends_and_shift_enter_breaks_the_line(open_ui: Open, daemon: Daemon) -> None:
    """An input method's Enter, which takes a candidate, sends nothing; neither does an empty question."""
    ui = open_ui(daemon.port)
    ui.page.focus("#question")
    ui.page.keyboard.press("Enter")
    ui.page.keyboard.type("one")
    ui.page.evaluate(
        "document.querySelector('#question').dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
    )
    ui.page.keyboard.press("Shift+Enter")
    ui.page.keyboard.type("two")
    assert ui.page.input_value("#question") == "one\ntwo"
    expect(ui.page.locator(".message")).to_have_count(0)
    ui.page.keyboard.press("Enter")
    ui.wait_done()
    assert ui.answer() == "one\ntwo"
    assert ui.page.locator(".question").inner_text() == "one\ntwo"


@pytest.mark.parametrize("how", ["button", "escape"])
def test_an_answer_is_stopped(open_ui: Open, daemon: Daemon, how: str) -> None:
    """The engine stops working on it, what has come stays, and the next question is answered."""
    ui = open_ui(daemon.port)
    ui.ask("slow repeat:200 on and on ")
    ui.wait_streaming(5)
    if how == "button":
        ui.page.click("#send")
    else:
        ui.page.keyboard.press("Escape")
    ui.wait_done()
    ui.wait_text("Stopped.")
    wait_until(lambda: daemon.status()["unfinished_requests"] == 0)
    assert ui.answer()
    assert ui.ask_and_wait("again") == "again"


def test_thinking_is_folded_and_can_be_opened(open_ui: Open, daemon: Daemon) -> None:
    """What the model thought is not part of the answer, and one press away."""
    ui = open_ui(daemon.port)
    answer = ui.ask_and_wait("<think>Six times seven.</think>42")
    assert answer == "42"
    expect(ui.page.locator(".thoughts")).to_be_hidden()
    ui.page.click(".thinking summary")
    ui.wait_text("Six times seven.", ".thoughts")


def test_whoever_reads_above_is_left_in_peace(open_ui: Open, daemon: Daemon) -> None:
    """The page follows the answer at its end, keeps its position once the user scrolls, and offers the way back."""
    ui = open_ui(daemon.port)
    ui.ask_and_wait("repeat:20 One line.\n\nAnother line.\n\nA third.")
    bottom = "(e => e.scrollHeight - e.scrollTop - e.clientHeight)(document.querySelector('#transcript'))"
    assert ui.page.evaluate(bottom) < 2
    assert ui.page.locator("#to-end").is_hidden()
    ui.ask("slow repeat:6 More.\n\nAnd more.")
    ui.page.locator(".answer[aria-busy=true]").wait_for()
    ui.page.locator("#transcript").evaluate("e => { e.scrollTop = 0; }")
    ui.wait_done()
    assert ui.page.evaluate("document.querySelector('#transcript').scrollTop") == 0
    ui.page.click("#to-end")
    assert ui.page.evaluate(bottom) < 2


def test_settings_go_with_the_question_and_are_remembered(open_ui: Open, daemon: Daemon) -> None:
    """A length limit set in the panel holds, also after a reload; an empty field is not sent at all."""
    ui = open_ui(daemon.port)
    ui.page.click("#settings-open")
    ui.page.fill("#max_new_tokens", "5")
    ui.page.select_option("#thinking", label="Off")
    ui.page.keyboard.press("Escape")
    with ui.page.expect_request("**/chat_stream") as sent:
        assert ui.ask_and_wait("123456789") == "12345"
    body = {**sent.value.post_data_json}
    assert body.pop("session_id")
    assert body == {"prompt": "123456789", "max_new_tokens": 5, "thinking": False}
    ui.wait_text("reached its length limit")
    ui.page.reload()
    ui.page.click("#settings-open")
    assert ui.page.input_value("#max_new_tokens") == "5"
    expect(ui.page.locator("#thinking option:checked")).to_have_text("Off", use_inner_text=True)
    ui.page.click("text=Reset all")
    assert ui.page.input_value("#max_new_tokens") == ""


def test_a_value_out_of_range_is_marked_and_not_sent(open_ui: Open, daemon: Daemon) -> None:
    """Nothing is silently turned into something else; a value between the steps of the arrows is one."""
    ui = open_ui(daemon.port)
    ui.page.click("#settings-open")
    for field, value in (("temperature", "9"), ("top_k", "1.5"), ("top_p", "0.925")):
        ui.page.fill(f"#{field}", value)
        ui.page.keyboard.press("Tab")
    assert ui.page.get_attribute("#temperature", "aria-invalid") == "true"
    assert ui.page.get_attribute("#top_k", "aria-invalid") == "true"
    assert ui.page.get_attribute("#top_p", "aria-invalid") == "false"
    ui.page.keyboard.press("Escape")
    with ui.page.expect_request("**/chat_stream") as sent:
        ui.ask_and_wait("hello")
    assert sent.value.post_data_json["top_p"] == 0.925
    assert not {"temperature", "top_k"} & set(sent.value.post_data_json)


def test_a_draft_survives_a_reload(open_ui: Open, daemon: Daemon) -> None:
    """Half a question is not lost."""
    ui = open_ui(daemon.port)
    ui.page.fill("#question", "half a question")
    ui.page.reload()
    assert ui.page.input_value("#question") == "half a question"


def test_a_prompt_that_does_not_fit_is_explained(open_ui: Open, daemon: Daemon) -> None:
    """400 context_length_exceeded is told in the person's words."""
    ui = open_ui(daemon.port)
    ui.ask("long")
    ui.wait_text("exceeds the model's context length")
    ui.screenshot("error-context-1024x600-light-en")


def test_trying_again_later_asks_again_at_the_end(open_ui: Open, daemon: Daemon) -> None:
    """A question that failed and was passed over does not come back in the middle of others."""
    ui = open_ui(daemon.port)
    ui.page.route("**/chat_stream", lambda route: route.fulfill(status=500, json={"error": {"message": "broken"}}))
    ui.ask("first")
    ui.wait_text("That did not work: broken")
    ui.page.unroute("**/chat_stream")
    ui.ask_and_wait("second")
    ui.page.click("text=Try again")
    wait_until(lambda: ui.page.locator(".answer").count() == 3)
    ui.wait_done()
    assert ui.page.locator(".question").all_inner_texts() == ["first", "second", "first"]
    assert ui.answer() == "first"


def test_while_the_model_loads_a_question_waits_and_is_answered(open_ui: Open) -> None:
    """503 with Retry-After: the page says what it waits for and asks again by itself."""
    with running(engine=("--load-seconds", "4")) as daemon:
        ui = open_ui(daemon.port)
        ui.wait_text("Loading the model", "#device")
        ui.ask("are you there")
        ui.wait_text("your question waits")
        ui.screenshot("loading-1024x600-light-en")
        ui.wait_done()
        assert ui.answer() == "are you there"
        ui.wait_text("scripted", "#device")


def test_a_question_that_waits_can_be_taken_back(open_ui: Open) -> None:
    """Stop ends the waiting; nothing is sent later."""
    with running(engine=("--never-ready",)) as daemon:
        ui = open_ui(daemon.port)
        ui.ask("never mind")
        ui.wait_text("your question waits")
        ui.page.keyboard.press("Escape")
        ui.wait_text("Stopped.")
        expect(ui.page.locator("#send:not(.stop)")).to_have_count(1)
        daemon.stop()  # an engine that never gets ready does not notice that the front was killed


def test_when_the_queue_is_full_the_question_waits_for_its_turn(open_ui: Open) -> None:
    """429: told, and tried again until there is room."""
    with running("service.max_queue=1") as daemon:
        daemon.wait_ready()
        first, second = open_ui(daemon.port), open_ui(daemon.port)
        first.ask("slow repeat:60 busy ")
        first.page.locator(".answer > .prose:not(:empty)").wait_for()
        second.ask("my turn")
        second.wait_text("Many questions at once")
        first.page.keyboard.press("Escape")
        second.wait_done()
        assert second.answer() == "my turn"


def test_a_crash_of_the_engine_is_only_a_pause(open_ui: Open, daemon: Daemon) -> None:
    """The answer goes on where it was."""
    ui = open_ui(daemon.port)
    assert ui.ask_and_wait("die@9 and it still goes on") == "die@9 and it still goes on"


def test_an_answer_that_the_device_has_lost_is_told(open_ui: Open) -> None:
    """A daemon that keeps nothing on disk vanishes in the middle: what came stays, and asking again works."""
    with running() as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port)
        ui.ask("slow repeat:200 on and on ")
        ui.wait_streaming(20)
        port = daemon.port
        daemon.process.kill()
    ui.wait_text("Paused. The answer continues")
    ui.wait_text("Paused, resuming", "#device")
    ui.screenshot("offline-1024x600-light-en")
    assert "slow repeat:200" in ui.answer()
    with running(f"service.port={port}") as daemon:
        daemon.wait_ready()
        ui.wait_text("The device has lost this answer.")
        ui.page.click("text=Try again")
        ui.page.locator(".answer[aria-busy=true]").wait_for()
        ui.wait_streaming(20)
        ui.page.keyboard.press("Escape")
        ui.wait_done()


def test_an_engine_that_was_given_up_is_told(open_ui: Open) -> None:
    """503 without Retry-After: no waiting, but a way to try again."""
    with running("service.max_restart_rate=1/300") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port)
        ui.page.route(
            "**/chat_stream",
            lambda route: route.fulfill(
                status=503,
                content_type="application/json",
                body='{"error": {"code": "engine_gave_up", "message": "it died too often"}}',
            ),
        )
        ui.ask("hello")
        ui.wait_text("The engine failed too often")
        ui.page.unroute("**/chat_stream")
        ui.page.click("text=Try again")
        ui.wait_done()
        assert ui.answer() == "hello"
