"""`youtu-edge bench` measures a real daemon, and says when it was not alone."""

from __future__ import annotations

import json
import threading

from daemon_process import Daemon, chat
from front.command import youtu_edge


def bench(daemon: Daemon, *arguments: str) -> tuple[str, str]:
    done = youtu_edge("bench", "--url", f"http://127.0.0.1:{daemon.port}", "--rounds", "1", "--tokens", "16", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_prompts_and_streams_are_measured(daemon: Daemon) -> None:
    """The context has 512 tokens: a prompt of about 512 does not fit and is left out."""
    output, complaints = bench(daemon, "--streams", "3", "--json")
    document = json.loads(output)
    assert complaints == ""
    assert document["disturbed"] is False
    assert document["daemon"]["device"] == "cpu"
    (prompt,) = document["prompts"]
    assert 100 <= prompt["tokens"] <= 156
    assert prompt["tokens_per_s"] * prompt["first_token_s"] <= prompt["tokens"] * 1.001  # the template may be in the cache
    assert document["streams"]["count"] == 3
    assert document["decode"]["tokens_per_s"] > 0
    assert document["streams"]["tokens_per_s"] > 0


def test_a_person_gets_a_line_per_figure(daemon: Daemon) -> None:
    lines = bench(daemon)[0].splitlines()
    assert [line.split("  ")[0].partition(" of ")[0] for line in lines[1:]] == ["prompt", "1 stream", "4 streams"]
    assert all("tokens/s" in line for line in lines[1:])
    assert max(map(len, lines)) <= 80


def test_a_request_of_somebody_else_is_told(daemon: Daemon) -> None:
    """The figures are too low then; nothing else would tell."""
    stop = threading.Event()

    def others() -> None:
        while not stop.is_set():
            daemon.post("/v1/chat/completions", chat("an unrelated question of somebody else", max_tokens=4))

    other = threading.Thread(target=others)
    other.start()
    try:
        output, complaints = bench(daemon, "--json")
    finally:
        stop.set()
        other.join()
    assert json.loads(output)["disturbed"] is True
    assert complaints == "youtu-edge: the daemon had other requests meanwhile: the figures are too low\n"


def test_a_daemon_without_a_model_or_none_at_all_is_one_line() -> None:
    done = youtu_edge("bench", "--url", "http://127.0.0.1:9")
    assert done.returncode != 0
    assert "is the daemon running?" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = youtu_edge("bench", "--streams", "0")
    assert done.returncode == 2
    assert "'0' is not a number from 1 to 1000" in done.stderr
