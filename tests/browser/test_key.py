"""A daemon that wants an API key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from browser.ui import Ui, expect
from front.scripted_daemon import running, wait_until
from youtu_edge.front.keys.api_keys import ApiKey, Scope, hash_token, new_token, write_keys

Open = Callable[..., Ui]


def add_key(directory: Path, *scopes: Scope) -> str:
    """A key file with one new key in it; returns the key."""
    token = new_token()
    write_keys(directory / "keys.json", (ApiKey(name="person", sha256=hash_token(token), scopes=scopes),))
    return token


def test_the_key_is_asked_for_checked_and_kept_until_the_tab_closes(open_ui: Open, tmp_path: Path) -> None:
    """A wrong one is told; the right one opens everything, also after a reload; another tab is asked again."""
    token = add_key(tmp_path, "chat", "metrics")
    with running(f"service.keys_file={tmp_path}/keys.json") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port, waits=False)
        ui.wait_text("This device requires a key.")
        ui.screenshot("key-1024x600-light-en")
        ui.page.keyboard.type("wrong")
        ui.page.keyboard.press("Enter")
        ui.wait_text("rejected this key")
        ui.page.keyboard.type(token)
        ui.page.keyboard.press("Enter")
        ui.wait_text("scripted", "#device")
        assert ui.ask_and_wait("hello") == "hello"
        ui.page.reload()
        ui.page.locator(".answer").wait_for()
        expect(ui.page.locator("dialog")).to_have_count(0)
        assert ui.page.evaluate("Object.values(localStorage).join().includes('ye-')") is False
        other = open_ui(daemon.port, waits=False)
        other.wait_text("This device requires a key.")


def test_whoever_has_no_key_can_go_on_looking_and_is_asked_when_it_matters(open_ui: Open, tmp_path: Path) -> None:
    """Cancel closes the dialog for good; a question opens it again."""
    token = add_key(tmp_path, "chat", "metrics")
    with running(f"service.keys_file={tmp_path}/keys.json") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port, waits=False)
        ui.wait_text("This device requires a key.")
        ui.page.keyboard.press("Escape")
        ui.wait_text("Key needed", "#device")
        expect(ui.page.locator("dialog")).to_have_count(0)
        ui.ask("hello")
        ui.wait_text("This device requires a key.")
        ui.page.keyboard.type(token)
        ui.page.keyboard.press("Enter")
        ui.wait_done()
        assert ui.answer() == "hello"
        ui.wait_text("scripted", "#device")
        wait_until(lambda: ui.page.locator("#session-list a").count() == 1)


def test_a_used_up_quota_is_told_and_not_waited_for(open_ui: Open, tmp_path: Path) -> None:
    """The quota window ends in an hour, so the page does not retry by itself."""
    token = new_token()
    key = ApiKey(name="person", sha256=hash_token(token), scopes=("chat", "metrics"), tokens_per_hour=1)
    write_keys(tmp_path / "keys.json", (key,))
    with running(f"service.keys_file={tmp_path}/keys.json") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port, waits=False)
        ui.wait_text("This device requires a key.")
        ui.page.keyboard.type(token)
        ui.page.keyboard.press("Enter")
        ui.wait_text("scripted", "#device")
        ui.ask_and_wait("one")
        ui.ask("two")
        ui.wait_text("This API key has used up its tokens for now.")
        ui.page.get_by_role("button", name="Try again").wait_for()


def test_a_key_for_chats_alone_is_enough_to_chat(open_ui: Open, tmp_path: Path) -> None:
    """The figures are not for this key, and the page says so where they would be."""
    token = add_key(tmp_path, "chat")
    with running(f"service.keys_file={tmp_path}/keys.json") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port, waits=False)
        ui.wait_text("This device requires a key.")
        ui.page.keyboard.type(token)
        ui.page.keyboard.press("Enter")
        ui.wait_text("Ready", "#device")
        assert ui.ask_and_wait("hello") == "hello"
        ui.page.click("#status-link")
        ui.wait_text("This key may not read the metrics.")
