"""The QR code of the status page, read as the camera of a phone reads it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from browser.test_key import add_key
from browser.ui import BOARD, LOOKS, TOUCH, Ui, expect
from front.scripted_daemon import Daemon, running

Open = Callable[..., Ui]
SETTING = f"service.allowed_hosts=[{BOARD}]"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One that other devices find by its name."""
    with running(SETTING) as started:
        yield started.wait_ready()


def opened(ui: Ui) -> Ui:
    """The dialog, from the status page."""
    ui.page.locator(".about button").click()
    ui.page.locator("dialog .qr-address").wait_for()
    return ui


def scanned(ui: Ui) -> str:
    """What a camera finds on the screen."""
    zxing = pytest.importorskip("zxingcpp", reason="zxing-cpp is not installed; it is part of the extra [dev]")
    images = pytest.importorskip("PIL.Image", reason="Pillow is not installed; it comes with the extra [export]")
    (code,) = zxing.read_barcodes(images.open(io.BytesIO(ui.page.screenshot())))
    return str(code.text)


@pytest.mark.parametrize(
    ("size", "theme", "language"), LOOKS, ids=lambda value: str(value[0]) if isinstance(value, tuple) else value
)
def test_a_phone_reads_the_address(open_ui: Open, daemon: Daemon, size: tuple[int, int], theme: str, language: str) -> None:
    """Dark on white in both themes; the address stands beneath it; without a key there is nothing to choose."""
    ui = opened(open_ui(daemon.port, host=BOARD, path="/#/status", size=size, theme=theme, language=language))
    ui.page.locator(".qr").wait_for()
    ui.screenshot(f"qr-{ui.look}")
    address = f"http://{BOARD}:{daemon.port}/"
    assert scanned(ui) == address
    expect(ui.page.locator(".qr-address")).to_have_text(address)
    expect(ui.page.locator("#qr-key")).to_have_count(0)
    ui.page.keyboard.press("Escape")
    expect(ui.page.locator("dialog")).to_have_count(0)


def test_the_key_is_in_it_only_when_the_person_asks(open_ui: Open, tmp_path: Path) -> None:
    """Not before, not in the next dialog. The phone that reads it need not enter it, and its address does not show it."""
    token = add_key(tmp_path, "chat", "metrics")
    with running(SETTING, f"service.keys_file={tmp_path}/keys.json") as daemon:
        daemon.wait_ready()
        ui = open_ui(daemon.port, host=BOARD, path=f"/#key={token}")
        ui.wait_text("scripted", "#device")
        ui.page.click("#status-link")
        address = f"http://{BOARD}:{daemon.port}/"
        assert scanned(opened(ui)) == address
        ui.page.locator(".check").click()
        ui.page.locator("#qr-key:checked").wait_for()
        ui.screenshot("qr-key-1024x600-light-en")
        with_key = scanned(ui)
        assert with_key == f"{address}#key={token}"
        assert token not in ui.page.locator("dialog").inner_html()
        ui.page.keyboard.press("Escape")
        assert scanned(opened(ui)) == address
        phone = open_ui(daemon.port, host=BOARD, path=with_key.removeprefix(address.rstrip("/")))
        phone.wait_text("scripted", "#device")
        assert token not in phone.page.url
        assert phone.ask_and_wait("hello") == "hello"


def test_a_page_that_only_this_machine_reaches_has_no_code(open_ui: Open, daemon: Daemon) -> None:
    """localhost is another device on each."""
    for host in ("127.0.0.1", "localhost"):
        ui = open_ui(daemon.port, host=host, path="/#/status", size=TOUCH)
        ui.page.locator(".facts dd").first.wait_for()
        expect(ui.page.locator(".about button")).to_have_count(0)


def test_without_the_library_the_address_is_there_to_be_typed(open_ui: Open, daemon: Daemon) -> None:
    """As after a build without npm."""
    ui = open_ui(daemon.port, host=BOARD, path="/#/status")
    ui.page.route("**/lib/lean-qr.js", lambda route: route.fulfill(status=404))
    opened(ui).wait_text("Open this address on a phone in the same network.", "dialog")
    expect(ui.page.locator(".qr")).to_have_count(0)
