"""Questions about tokens and templates: asked, refused, and asked again when the engine dies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from front.scripted_daemon import Daemon, running, wait_until


def ask(daemon: Daemon, path: str, body: Any) -> tuple[int, Any]:
    status, _, data = daemon.request("POST", path, body)
    return status, json.loads(data)


def test_the_engine_answers_what_the_front_cannot_know(daemon: Daemon) -> None:
    assert ask(daemon, "/tokenize", {"content": "aé"}) == (200, {"tokens": [97, 233], "count": 2})
    assert ask(daemon, "/tokenize", {"prompt": "a", "add_special": True}) == (200, {"tokens": [1, 97], "count": 2})
    assert ask(daemon, "/detokenize", {"tokens": [104, 105]}) == (200, {"content": "hi"})
    messages = [{"role": "system", "content": "be"}, {"role": "user", "content": [{"type": "text", "text": "ok"}]}]
    assert ask(daemon, "/apply-template", {"messages": messages}) == (200, {"prompt": "system:be\nuser:ok\n"})
    assert ask(daemon, "/tokenize", {"messages": messages})[1]["count"] == len("system:be\nuser:ok\n")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {}, "content"),
        ("/tokenize", {"content": "x", "prompt": "x"}, "content"),
        ("/tokenize", {"content": 5}, "content"),
        ("/tokenize", {"content": "x", "parse_special": True}, "parse_special"),
        ("/tokenize", {"content": "x", "with_pieces": True}, "with_pieces"),
        ("/tokenize", {"messages": []}, "messages"),
        ("/tokenize", {"messages": [{"role": "user", "content": "x"}], "add_special": True}, "add_special"),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": ["a"]}, "tokens[0]"),
        ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
        ("/detokenize", {"tokens": [1, 2**31 - 1]}, "tokens[1]"),
        ("/apply-template", {"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    ],
)
def test_a_wrong_question_is_a_400_that_names_the_field(daemon: Daemon, path: str, body: Any, param: str) -> None:
    status, answer = ask(daemon, path, body)
    assert (status, answer["error"]["param"]) == (400, param)


def test_a_question_survives_the_death_of_the_engine(tmp_path: Path) -> None:
    with running(engine=("--died", str(tmp_path / "died"))) as daemon:
        daemon.wait_ready()
        assert ask(daemon, "/tokenize", {"content": "die-once"})[0] == 200
        assert daemon.status()["restarts"] == 1


def test_a_question_that_kills_two_engines_fails_and_the_next_ones_are_answered(daemon: Daemon) -> None:
    status, answer = ask(daemon, "/tokenize", {"content": "die-always"})
    assert (status, answer["error"]["code"]) == (500, "internal_error")
    assert ask(daemon, "/tokenize", {"content": "x"})[0] == 200


def test_a_question_before_the_engine_is_ready_is_a_503_with_retry_after() -> None:
    with running(engine=("--never-ready",)) as daemon:
        status, headers, data = daemon.request("POST", "/tokenize", {"content": "x"})
        assert (status, json.loads(data)["error"]["code"]) == (503, "unavailable")
        assert int(headers["retry-after"]) >= 1
        assert daemon.stop() == 0


def test_when_the_engine_gives_up_open_questions_are_answered() -> None:
    with running("service.max_restart_rate=1/300") as daemon:
        daemon.wait_ready()
        daemon.kill_engine()
        wait_until(lambda: daemon.status()["restarts"] == 1 and daemon.status()["state"] == "ready")
        status, answer = ask(daemon, "/tokenize", {"content": "die-always"})
        assert (status, answer["error"]["code"]) == (503, "engine_gave_up")
