"""The page with a real daemon and a real model behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from browser.ui import Ui
from daemon_process import Daemon
from front.scripted_daemon import wait_until

Open = Callable[..., Ui]


def test_a_real_model_answers_and_the_status_page_shows_it_work(open_ui: Open, smollm2_q4: Path, tmp_path: Path) -> None:
    """English words, their speed, and the same figures on the status page of another tab."""
    with Daemon(smollm2_q4, tmp_path, storage__directory="''", generation__max_new_tokens=80) as daemon:
        daemon.wait_ready()
        status = open_ui(daemon.port, path="/#/status")
        ui = open_ui(daemon.port)
        ui.context.set_default_timeout(90_000)
        assert ui.page.locator("#device").inner_text() == status.page.locator(".facts dd").first.inner_text()
        ui.ask("Write a short story about a river and the town beside it.")
        ui.wait_streaming(40)
        speed = status.page.locator(".card", has_text="Generation speed").locator(".card-value")
        wait_until(lambda: float(speed.inner_text().split()[0]) > 0, 60)
        status.screenshot("status-real-1024x600-light-en")
        ui.wait_done()
        ui.screenshot("chat-real-1024x600-light-en")
        assert len(ui.answer().split()) > 20
        assert re.search(r"[\d.]+ tokens/s", ui.page.locator(".figures").inner_text())
        ui.ask_and_wait("And what is the river called?")
        cached = json.loads(daemon.get("/v1/status")[1])["engine"]["cached_tokens"]
        assert cached > 50, "the second turn reuses the cache of the first"
