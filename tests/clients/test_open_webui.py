"""Open WebUI, started beside a daemon and used in a browser as a person uses it, by both of its kinds of connection.

It is in an environment of its own, which `./scripts/clients --open-webui` makes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import chromium
from front.scripted_daemon import Daemon, running, wait_until

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "build" / "open-webui" / "bin" / "open-webui"
SCREENSHOTS = ROOT / "build" / "screenshots"
START_S = 600
TIMEOUT_MS = 120_000
SETTINGS = {
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "a key of this test, which nobody needs to guess",
    "OPENAI_API_KEY": "none",
    "RAG_EMBEDDING_ENGINE": "openai",  # else it loads a model for documents from a hub
    "OFFLINE_MODE": "True",
    "ANONYMIZED_TELEMETRY": "False",
    "DEFAULT_MODEL_METADATA": '{"capabilities": {"builtin_tools": false}}',  # as docs/clients.md says
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One that answers with the question."""
    with running("service.max_restart_rate=1/10") as started:
        yield started.wait_ready()


@pytest.fixture(scope="module")
def address(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Open WebUI's, which has the daemon as an Ollama and as an OpenAI connection."""
    if not PROGRAM.exists():
        pytest.skip("Open WebUI is not installed: ./scripts/clients --open-webui")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    directory = tmp_path_factory.mktemp("open-webui")
    url = f"http://127.0.0.1:{daemon.port}"
    environment = {**SETTINGS, "DATA_DIR": str(directory), "OLLAMA_BASE_URL": url, "OPENAI_API_BASE_URL": f"{url}/v1"}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, **environment},
            cwd=directory,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/health"), START_S)
        assert process.poll() is None, (directory / "log").read_text(errors="replace")[-4000:]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
        return bool(answer.status == 200)
    return False


@pytest.fixture
def page() -> Iterator[Any]:
    """Chromium, as in tests/browser."""
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(TIMEOUT_MS)
        yield context.new_page()


def ask(page: Any, text: str) -> None:
    """Type it, press Enter, and wait for the end of the answer."""
    asked = page.locator(".chat-assistant").count()
    page.locator("#chat-input").click()
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.locator(".chat-assistant").nth(asked).locator("p", has_text=text).first.wait_for()
    page.locator(".copy-response-button").nth(asked).wait_for(state="attached")


@pytest.mark.parametrize(("door", "model"), [("ollama", "scripted:latest"), ("openai", "scripted")])
def test_a_person_chats_in_open_webui(address: str, daemon: Daemon, page: Any, door: str, model: str) -> None:
    """The model is in the list; two questions are answered; nothing that it sends is rejected."""
    refused = refusals(daemon)
    news = page.get_by_text("Okay, Let's Go!")  # of its versions; a click comes to nothing until the page's code is loaded
    page.add_locator_handler(news, lambda button: button.click(), no_wait_after=True)
    page.goto(f"{address}/?models={model}")
    ask(page, "What is a heat pump?")
    ask(page, "And in winter?")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"open-webui-{door}.png")
    assert page.locator(".chat-user").count() == 2
    assert refusals(daemon) == refused


def refusals(daemon: Daemon) -> list[str]:
    """The counters of rejected requests, by code."""
    text = daemon.request("GET", "/metrics")[2].decode()
    return [line for line in text.splitlines() if line.startswith("youtu_edge_refused_total{")]
