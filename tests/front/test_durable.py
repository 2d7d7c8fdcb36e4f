"""Durable requests: what was accepted with an Idempotency-Key finishes exactly once, whatever crashes in between."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from front.scripted_daemon import Daemon, running, wait_until
from youtu_edge.front.durable.durable_requests import MAX_FRUITLESS_STARTS

TEXT = "slow The quick brown fox jumps over the lazy dog"
PATHS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": TEXT}], "stream": True},
    "/chat_stream": {"prompt": TEXT},
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(f"storage.directory={tmp_path_factory.mktemp('data')}") as started:
        yield started.wait_ready()
        assert started.stop() == 0


def post(daemon: Daemon, path: str, body: Any, key: str, **headers: str) -> tuple[int, Any]:
    status, _, data = daemon.request("POST", path, body, {"Idempotency-Key": key, **headers})
    return status, json.loads(data)


def stream(
    daemon: Daemon, path: str, key: str, last: int = 0, most: int = 10**9, body: Any = None
) -> list[tuple[int, str]]:
    """Number and data of at most `most` events after number `last`; then the connection is closed."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
    headers = {"Idempotency-Key": key} | ({"Last-Event-ID": str(last)} if last else {})
    events: list[tuple[int, str]] = []
    with closing(connection):
        connection.request("POST", path, body=json.dumps(body or PATHS[path]), headers=headers)
        with closing(connection.getresponse()) as answer:
            assert answer.status == 200, answer.read()
            number = 0
            while len(events) < most and (line := answer.readline()):
                if line.startswith(b"id: "):
                    number = int(line[4:])
                elif line.startswith(b"data: "):
                    events.append((number, line[6:].decode().strip()))
    return events


def text_of(events: list[tuple[int, str]]) -> str:
    """The answer that the events tell, in either dialect."""
    documents = [json.loads(data) for _, data in events if data != "[DONE]"]
    chunks = [choice["delta"].get("content", "") for document in documents for choice in document.get("choices", ())]
    return "".join(chunks) + "".join(document.get("text", "") for document in documents)


def test_the_same_request_with_the_same_key_is_answered_once(daemon: Daemon) -> None:
    """Every byte of the second answer is that of the first, also in a chat whose sampling is random."""
    body = {"messages": [{"role": "user", "content": "hello"}], "temperature": 1}
    before = daemon.metric('youtu_edge_requests_total{outcome="stop"}')
    first, second = (post(daemon, "/v1/chat/completions", body, "once") for _ in range(2))
    assert first == second
    assert first[0] == 200
    assert daemon.metric('youtu_edge_requests_total{outcome="stop"}') == before + 1
    assert post(daemon, "/v1/chat/completions", body, "twice")[1]["id"] != first[1]["id"]


def test_a_key_belongs_to_one_body(daemon: Daemon) -> None:
    """Another body under the same key is a mistake of the client, and nothing is generated for it."""
    assert post(daemon, "/chat", {"prompt": "hello"}, "mine")[0] == 200
    status, answer = post(daemon, "/chat", {"prompt": "hello!"}, "mine")
    assert (status, answer["error"]["code"]) == (422, "idempotency_conflict")


@pytest.mark.parametrize(
    ("body", "headers", "param"),
    [
        ({"prompt": "x"}, {"Idempotency-Key": ""}, "Idempotency-Key"),
        ({"prompt": "x"}, {"Idempotency-Key": "k" * 256}, "Idempotency-Key"),
        ({"prompt": "x"}, {"Last-Event-ID": "3"}, "Last-Event-ID"),
        ({"prompt": "x"}, {"Idempotency-Key": "k", "Last-Event-ID": "three"}, "Last-Event-ID"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(
    daemon: Daemon, body: dict[str, str], headers: dict[str, str], param: str
) -> None:
    """No durability is promised silently and then not given."""
    status, _, data = daemon.request("POST", "/chat", body, headers)
    assert (status, json.loads(data)["error"]["param"]) == (400, param)


def test_a_key_on_what_generates_nothing_is_refused(daemon: Daemon) -> None:
    """Nothing is accepted and ignored."""
    status, answer = post(daemon, "/tokenize", {"content": "x"}, "key")
    assert (status, answer["error"]["code"]) == (400, "unsupported_parameter")


def test_nobody_goes_on_with_a_request_that_is_not_kept(daemon: Daemon) -> None:
    """The rest of another answer would be appended to the beginning that the client has."""
    status, answer = post(daemon, "/chat_stream", {"prompt": "hello"}, "forgotten", **{"Last-Event-ID": "3"})
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (404, "not_found", "Last-Event-ID")
    assert post(daemon, "/chat", {"prompt": "hello"}, "forgotten")[0] == 200


def test_several_answers_are_refused(daemon: Daemon) -> None:
    """Their events have no order that a second reading could repeat."""
    body = {"messages": [{"role": "user", "content": "x"}], "n": 2}
    status, answer = post(daemon, "/v1/chat/completions", body, "several")
    assert (status, answer["error"]["param"]) == (400, "n")


@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_comes_back_gets_what_it_missed(daemon: Daemon, path: str) -> None:
    """Three connections, each with the number of the last event seen, make one stream without gap or repeat."""
    whole: list[tuple[int, str]] = []
    for most in (5, 7, 10**9):
        whole += stream(daemon, path, f"back {path}".replace(" ", "-"), whole[-1][0] if whole else 0, most)
    assert [number for number, _ in whole] == list(range(1, len(whole) + 1))
    assert text_of(whole) == TEXT
    assert stream(daemon, path, f"back-{path}") == whole
    assert stream(daemon, path, f"back-{path}", last=whole[-1][0]) == []


def test_a_request_whose_client_left_for_good_is_finished(daemon: Daemon) -> None:
    """Nobody has to wait for it."""
    before = daemon.metric('youtu_edge_requests_total{outcome="stop"}')
    stream(daemon, "/chat_stream", "left", most=3)
    wait_until(lambda: daemon.metric('youtu_edge_requests_total{outcome="stop"}') == before + 1)
    assert text_of(stream(daemon, "/chat_stream", "left")) == TEXT


def test_streams_that_are_not_durable_are_not_numbered(daemon: Daemon) -> None:
    """Nor does a client that leaves keep the engine busy."""
    _, _, data = daemon.request("POST", "/chat_stream", {"prompt": "hello"})
    assert b"id:" not in data


def test_a_refusal_is_kept_like_an_answer(daemon: Daemon) -> None:
    """The engine said no once; the client reads it as often as it asks."""
    for _ in range(2):
        status, answer = post(daemon, "/chat", {"prompt": "long prompt"}, "refused")
        assert (status, answer["error"]["code"]) == (400, "context_length_exceeded")


@pytest.mark.parametrize("path", PATHS)
def test_after_kill_9_of_everything_the_next_start_finishes_the_request(path: str, tmp_path: Path) -> None:
    """The client kept the number of its last event; the daemon did not wait for it to come back."""
    with running(f"storage.directory={tmp_path / 'data'}") as daemon:
        daemon.wait_ready()
        seen = stream(daemon, path, "kill", most=9)
        daemon.process.kill()
    with running(f"storage.directory={tmp_path / 'data'}") as daemon:
        daemon.wait_ready()
        wait_until(lambda: daemon.metric('youtu_edge_requests_total{outcome="stop"}') == 1)
        seen += stream(daemon, path, "kill", last=seen[-1][0])
        assert [number for number, _ in seen] == list(range(1, len(seen) + 1))
        assert text_of(seen) == TEXT
        assert daemon.metric('youtu_edge_requests_total{outcome="stop"}') == 1


def test_tokens_without_text_are_kept_too(tmp_path: Path) -> None:
    """Half a character has no text; the next start must know that its token was drawn."""
    body = {"prompt": f"hold {TEXT}"}
    with running(f"storage.directory={tmp_path / 'data'}") as daemon:
        daemon.wait_ready()
        seen = stream(daemon, "/chat_stream", "held", most=9, body=body)
        daemon.process.kill()
    with running(f"storage.directory={tmp_path / 'data'}") as daemon:
        daemon.wait_ready()
        seen += stream(daemon, "/chat_stream", "held", last=seen[-1][0], body=body)
        assert text_of(seen) == body["prompt"]
        assert json.loads(seen[-1][1])["usage"]["completion_tokens"] == len(body["prompt"])


def test_nothing_is_promised_while_the_journal_cannot_be_opened(tmp_path: Path) -> None:
    """A directory in the place of its file; other requests are answered."""
    (tmp_path / "data" / "requests.db").mkdir(parents=True)
    with running(f"storage.directory={tmp_path / 'data'}") as daemon:
        daemon.wait_ready()
        status, answer = post(daemon, "/chat", {"prompt": "hello"}, "key")
        assert (status, answer["error"]["code"]) == (503, "storage_failed")
        assert daemon.chat("hello")[0] == 200


def test_kills_at_random_moments_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Front or engine dies eight times, clients reconnect; each of six requests is answered exactly once."""
    chance = random.Random(7)
    keys = [f"key-{index}" for index in range(6)]
    seen: dict[str, list[tuple[int, str]]] = {key: [] for key in keys}
    for _ in range(8):
        with running(f"storage.directory={tmp_path / 'data'}", "service.max_restart_rate=1000/300") as daemon:
            daemon.wait_ready()
            for key in chance.sample(keys, 3):
                last = seen[key][-1][0] if seen[key] else 0
                seen[key] += stream(daemon, "/v1/chat/completions", key, last, most=chance.randint(1, 12))
            if chance.random() < 0.3:
                daemon.kill_engine()
                wait_until(lambda started=daemon: started.status()["restarts"] == 1)  # type: ignore[misc]
            os.kill(daemon.process.pid, signal.SIGKILL)
    with running(f"storage.directory={tmp_path / 'data'}") as daemon:
        daemon.wait_ready()
        for key in keys:
            last = seen[key][-1][0] if seen[key] else 0
            seen[key] += stream(daemon, "/v1/chat/completions", key, last)
            assert [number for number, _ in seen[key]] == list(range(1, len(seen[key]) + 1))
            assert text_of(seen[key]) == TEXT
            assert stream(daemon, "/v1/chat/completions", key) == seen[key]


def test_a_stop_in_good_order_leaves_the_rest_to_the_next_start(tmp_path: Path) -> None:
    """A request that takes longer than service.drain_s is told that the daemon stops, and is finished after it."""
    with running(f"storage.directory={tmp_path / 'data'}", "service.drain_s=0.1") as daemon:
        daemon.wait_ready()
        seen = stream(daemon, "/chat_stream", "stop", most=4)
        assert daemon.stop() == 0
    with running(f"storage.directory={tmp_path / 'data'}") as daemon:
        daemon.wait_ready()
        seen += stream(daemon, "/chat_stream", "stop", last=seen[-1][0])
        assert text_of(seen) == TEXT


def test_starts_that_die_while_the_model_is_loaded_do_not_count(tmp_path: Path) -> None:
    """However often the power fails before the engine works, nothing is given up."""
    settings = f"storage.directory={tmp_path / 'data'}"
    with running(settings) as daemon:
        daemon.wait_ready()
        seen = stream(daemon, "/chat_stream", "kept", most=3)
        daemon.process.kill()
    held = tmp_path / "held"
    held.touch()
    for _ in range(MAX_FRUITLESS_STARTS + 1):
        with running(settings, engine=("--load-while", str(held))) as daemon:
            wait_until(lambda started=daemon: b"engine_started" in started.log)  # type: ignore[misc]
            daemon.process.kill()
    with running(settings) as daemon:
        daemon.wait_ready()
        seen += stream(daemon, "/chat_stream", "kept", last=seen[-1][0])
        assert text_of(seen) == TEXT


def test_what_kills_the_whole_daemon_is_given_up_and_what_runs_beside_it_is_not(tmp_path: Path) -> None:
    """After the first death it runs alone, so that nothing else dies with it again."""
    settings = f"storage.directory={tmp_path / 'data'}"
    doom = {"prompt": "cut@1"}
    seen: list[tuple[int, str]] = []
    for _ in range(MAX_FRUITLESS_STARTS + 3):
        with running(settings) as daemon, suppress(OSError, http.client.HTTPException):
            daemon.wait_ready()
            seen += stream(daemon, "/chat_stream", "kept", last=seen[-1][0] if seen else 0, most=3)
            status, answer = post(daemon, "/chat", doom, "doom")
            assert (status, answer["error"]["code"]) == (500, "poison_request")
            seen += stream(daemon, "/chat_stream", "kept", last=seen[-1][0])
            break
    assert text_of(seen) == TEXT


def test_a_request_that_kills_every_start_is_given_up(tmp_path: Path) -> None:
    """Five starts die with it before any token; the sixth answers that it will not be tried again, and serves others."""
    settings = f"storage.directory={tmp_path / 'data'}", "service.max_restart_rate=1/300"
    for life in range(6):
        with running(*settings, engine=("--die-on-submit",)) as daemon:
            if life == 0:
                daemon.wait_ready()
                post(daemon, "/chat", {"prompt": "doom"}, "doom")
            assert daemon.wait_exit() == 70
    with running(*settings) as daemon:
        daemon.wait_ready()
        status, answer = post(daemon, "/chat", {"prompt": "doom"}, "doom")
        assert (status, answer["error"]["code"]) == (500, "poison_request")
        assert daemon.chat("hello")[0] == 200
