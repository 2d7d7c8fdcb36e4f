"""A context beyond the one that the model was trained for (512 tokens), in the real daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon_process import Daemon, chat

LONG = "0123456789" * 80


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn"])
def test_a_stretched_model_reads_more_than_it_was_trained_for(tiny_package: Path, tmp_path: Path, kind: str) -> None:
    with Daemon(tiny_package, tmp_path, model__context_length=1024, model__rope_scaling=kind) as daemon:
        daemon.wait_ready()
        assert json.loads(daemon.get("/v1/status")[1])["model"]["context_length"] == 1024
        answer = daemon.post("/v1/chat/completions", chat(LONG, max_tokens=100))[1]
        assert answer["usage"]["prompt_tokens"] > 800
        assert answer["usage"]["completion_tokens"] == 100
        status, refused = daemon.post("/v1/chat/completions", chat(LONG * 2))
        assert (status, refused["error"]["code"]) == (400, "context_length_exceeded")


def test_more_context_without_a_kind_stops_the_start_and_says_what_to_set(tiny_package: Path, tmp_path: Path) -> None:
    with Daemon(tiny_package, tmp_path, model__context_length=1024) as daemon:
        assert daemon.process.wait(60) == 78
        assert "set model.rope_scaling" in daemon.log
