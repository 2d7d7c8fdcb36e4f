"""Questions about tokens and templates: asked, refused, and asked again when the engine dies."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
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
    assert (status, answer["error"]["code"]) == (500, "poison_request")
    assert ask(daemon, "/tokenize", {"content": "x"})[0] == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {"content": "die-always"}),
        ("/tokenize", {"messages": [{"role": "user", "content": "die-always"}]}),
        ("/apply-template", {"messages": [{"role": "user", "content": "die-always"}]}),
        ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "die-always"}]}),
    ],
)
def test_a_question_that_kills_engines_is_forgiven_and_not_asked_again_for_a_while(path: str, body: Any) -> None:
    with running("service.max_restart_rate=1/300") as daemon:
        daemon.wait_ready()
        for _ in range(3):
            status, answer = ask(daemon, path, body)
            assert (status, answer["error"]["code"]) == (500, "poison_request")
        assert daemon.status()["restarts"] == 2
        assert daemon.status()["degraded"] is None
        assert ask(daemon, "/tokenize", {"content": "x"})[0] == 200


def test_a_question_that_was_open_in_two_deaths_by_chance_is_answered() -> None:
    with running() as daemon, ThreadPoolExecutor() as pool:
        daemon.wait_ready()
        asked = pool.submit(ask, daemon, "/tokenize", {"content": "linger:1"})
        for count in (1, 2):
            time.sleep(0.3)  # it is in the engine's hands
            daemon.kill_engine()
            wait_until(lambda count=count: daemon.status()["restarts"] == count and daemon.status()["state"] == "ready")
        assert asked.result()[0] == 200


def test_a_question_to_an_engine_that_is_to_be_replaced_waits_for_the_next(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with running("memory.max_growth=8M/60", engine=("--begun", str(begun))) as daemon, ThreadPoolExecutor() as pool:
        daemon.wait_ready()
        long = pool.submit(daemon.chat, "slow repeat:30", max_tokens=4000)
        leaks = []
        # Growth counts from the first look at the engine's memory on, which may come late.
        while b"engine_recycle" not in daemon.log and not long.done():
            leaks.append(pool.submit(daemon.chat, "leak a little"))
            time.sleep(0.05)
        assert not long.done()
        assert daemon.request("GET", "/readyz")[::2] == (503, b"the engine is about to be replaced\n")
        assert ask(daemon, "/tokenize", {"content": "linger:1.2"})[0] == 200
        assert (daemon.status()["recycles"], long.result()[0]) == (1, 200)
        assert {leak.result()[0] for leak in leaks} == {200}
        assert begun.read_text() == "linger:1.2\n"


def test_a_question_has_a_deadline_as_a_request_has(daemon: Daemon) -> None:
    status, _, data = daemon.request("POST", "/tokenize", {"content": "linger:1"}, {"X-Request-Timeout-S": "0.2"})
    assert (status, json.loads(data)["error"]["code"]) == (504, "deadline_exceeded")


def test_a_question_under_way_is_answered_before_the_daemon_stops() -> None:
    with running("service.drain_s=20") as daemon, ThreadPoolExecutor() as pool:
        daemon.wait_ready()
        asked = pool.submit(ask, daemon, "/tokenize", {"content": "linger:1"})
        wait_until(lambda: daemon.metric("youtu_edge_connections") >= 2)
        daemon.process.send_signal(signal.SIGTERM)
        assert asked.result()[0] == 200
        assert daemon.wait_exit() == 0


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
