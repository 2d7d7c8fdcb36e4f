"""Conversations on the device, over HTTP: what a session remembers, what it forgets, and how an answer is stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from front.scripted_daemon import Daemon, running, wait_until
from front.session_calls import begin_stream, call, contents, say
from youtu_edge.front.keys.api_keys import ApiKey, hash_token, write_keys


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(f"storage.directory={tmp_path_factory.mktemp('data')}", "service.max_restart_rate=1000/300") as started:
        yield started.wait_ready()
        assert started.stop() == 0


def test_a_session_remembers_what_was_said(daemon: Daemon) -> None:
    first = say(daemon, "memory", "my name is Ada", system="be kind")
    assert (first["session_id"], first["stored"], first["dropped_turns"]) == ("memory", True, 0)
    assert say(daemon, "memory", "recall")["response"] == "be kind|my name is Ada|my name is Ada|recall"
    events = list(daemon.stream("/chat_stream", {"prompt": "recall again", "session_id": "memory"}))
    assert "".join(event.get("text", "") for event in events).startswith(
        "be kind|my name is Ada|my name is Ada|recall|be kind"
    )
    assert (events[-1]["done"], events[-1]["stored"]) == (True, True)
    assert "Ada" not in say(daemon, "stranger", "recall")["response"]


def test_the_request_id_is_in_the_header_and_in_the_answer(daemon: Daemon) -> None:
    _, headers, data = daemon.request("POST", "/chat", {"prompt": "hello"})
    assert json.loads(data)["request_id"] == headers["x-request-id"]
    assert "session_id" not in json.loads(data)


@pytest.mark.parametrize("session", ["", "a b", "ü", "x" * 65, "../etc", 5])
def test_a_bad_session_id_is_refused_by_name(daemon: Daemon, session: Any) -> None:
    status, answer = call(daemon, "POST", "/chat", {"prompt": "x", "session_id": session})
    assert (status, answer["error"]["param"]) == (400, "session_id")


def test_sessions_are_listed_shown_changed_exported_cleared_and_deleted(daemon: Daemon) -> None:
    for name in ("one", "two", "three"):
        say(daemon, name, f"about {name}")
    sessions = call(daemon, "GET", "/v1/sessions?limit=2")[1]["sessions"]
    assert [(entry["id"], entry["title"], entry["turns"]) for entry in sessions] == [
        ("three", "about three", 1),
        ("two", "about two", 1),
    ]
    assert call(daemon, "GET", "/v1/sessions?limit=1&before=two")[1]["sessions"][0]["id"] == "one"
    status, changed = call(daemon, "PATCH", "/v1/sessions/one", {"title": "First", "system": "be brief"})
    assert (status, changed["title"], changed["system"]) == (200, "First", "be brief")
    assert say(daemon, "one", "recall")["response"] == "be brief|about one|about one|recall"
    status, headers, data = daemon.request("GET", "/v1/sessions/one/export")
    assert (status, headers["content-disposition"]) == (200, 'attachment; filename="session-one.json"')
    assert json.loads(data) == call(daemon, "GET", "/v1/sessions/one")[1]
    assert call(daemon, "POST", "/v1/sessions/one/clear")[1]["messages"] == []
    assert say(daemon, "one", "recall")["response"] == "be brief|recall"
    assert call(daemon, "DELETE", "/v1/sessions/one") == (200, {"id": "one", "deleted": True})
    for method, path, body in (
        ("GET", "/v1/sessions/one", None),
        ("GET", "/v1/sessions/one/export", None),
        ("GET", "/v1/sessions?before=one", None),
        ("PATCH", "/v1/sessions/one", {"title": "x"}),
        ("DELETE", "/v1/sessions/one", None),
        ("POST", "/v1/sessions/one/clear", None),
        ("POST", "/v1/sessions/one/interrupt", {"spoken_chars": 1}),
        ("POST", "/v1/requests/chat-0/cancel", None),
    ):
        status, answer = call(daemon, method, path, body)
        assert (status, answer["error"]["code"]) == (404, "not_found"), path
    assert call(daemon, "PATCH", "/v1/sessions/two", {})[0] == 400
    assert call(daemon, "GET", "/v1/sessions?limit=0")[1]["error"]["param"] == "limit"


def test_a_second_turn_at_once_is_refused_and_so_are_clear_and_delete(daemon: Daemon) -> None:
    stream, request_id, _ = begin_stream(daemon, "busy", "slow repeat:10")
    for method, path, body in (
        ("POST", "/chat", {"prompt": "me too", "session_id": "busy"}),
        ("POST", "/chat_stream", {"prompt": "me too", "session_id": "busy"}),
        ("POST", "/v1/sessions/busy/clear", None),
        ("DELETE", "/v1/sessions/busy", None),
    ):
        status, answer = call(daemon, method, path, body)
        assert (status, answer["error"]["code"]) == (409, "session_busy")
        assert request_id in answer["error"]["message"]
    assert len(list(stream)) > 100
    assert say(daemon, "busy", "now")["response"] == "now"


def test_a_cancelled_request_ends_at_once_and_its_turn_is_kept(daemon: Daemon) -> None:
    stream, request_id, begun = begin_stream(daemon, "cancelled", "slow repeat:200")
    assert call(daemon, "POST", f"/v1/requests/{request_id}/cancel") == (200, {"id": request_id, "cancelled": True})
    events = list(stream)
    assert events[-1]["finish_reason"] == "cancelled"
    text = begun + "".join(event.get("text", "") for event in events)
    assert len(text) < 1000
    assert contents(daemon, "cancelled") == ["slow repeat:200", text]


def test_one_cancel_ends_all_answers_to_a_request(daemon: Daemon) -> None:
    body = {"messages": [{"role": "user", "content": "slow repeat:200"}], "n": 3, "stream": True, "max_tokens": 2000}
    stream = daemon.stream("/v1/chat/completions", body)
    first = next(stream)
    assert call(daemon, "POST", f"/v1/requests/{first['id']}/cancel")[0] == 200
    reasons = [choice["finish_reason"] for event in stream for choice in event["choices"] if choice["finish_reason"]]
    assert reasons == ["cancelled"] * 3


def test_an_interrupted_answer_is_cut_to_what_was_spoken(daemon: Daemon) -> None:
    stream, request_id, _ = begin_stream(daemon, "voice", "slow repeat:200", texts=8)
    status, answer = call(daemon, "POST", "/v1/sessions/voice/interrupt", {"spoken_chars": 6})
    assert (status, answer) == (200, {"id": "voice", "request_id": request_id, "content": "slow r"})
    assert list(stream)[-1]["finish_reason"] == "cancelled"
    assert contents(daemon, "voice") == ["slow repeat:200", "slow r"]
    assert say(daemon, "voice", "recall")["response"] == "slow repeat:200|slow r|recall"
    # Speech goes on after the last token: the finished answer is cut as well, and a large number means all of it.
    say(daemon, "voice", "a finished answer")
    for spoken, kept in ((1000, "a finished answer"), (10, "a finished"), (0, "")):
        answer = call(daemon, "POST", "/v1/sessions/voice/interrupt", {"spoken_chars": spoken})[1]
        assert answer == {"id": "voice", "request_id": None, "content": kept}


def test_a_stopped_engine_produces_at_most_the_step_under_way_after_a_cancel(daemon: Daemon) -> None:
    """Nothing of the answer is computed after the step in which the cancellation arrives."""
    stream, request_id, _ = begin_stream(daemon, "exact", "slow repeat:200")
    engine = daemon.engine_pid()
    os.kill(engine, signal.SIGSTOP)
    wait_until(lambda: Path(f"/proc/{engine}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    received: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: received.extend(stream))
    reader.start()
    assert call(daemon, "POST", f"/v1/requests/{request_id}/cancel")[0] == 200
    before = daemon.status()["engine"]["sequence_steps"]
    os.kill(engine, signal.SIGCONT)
    reader.join(20)
    assert received[-1]["finish_reason"] == "cancelled"
    assert daemon.status()["engine"]["sequence_steps"] - before <= 1


def test_a_cancel_while_the_engine_restarts_ends_the_request_without_it(tmp_path: Path) -> None:
    settings = ("service.max_restart_rate=3/300", f"storage.directory={tmp_path}")
    held = tmp_path / "held"
    with running(*settings, engine=("--load-while", str(held))) as daemon:
        daemon.wait_ready()
        stream, request_id, begun = begin_stream(daemon, "restart", "slow repeat:200")
        held.touch()
        daemon.kill_engine()
        wait_until(lambda: daemon.status()["state"] == "restarting")
        assert call(daemon, "POST", f"/v1/requests/{request_id}/cancel")[0] == 200
        events = list(stream)
        assert events[-1]["finish_reason"] == "cancelled"
        held.unlink()
        daemon.wait_ready()
        assert contents(daemon, "restart")[1].startswith(begun)
        assert daemon.status()["unfinished_requests"] == 0


def test_a_client_that_leaves_a_stream_leaves_what_it_received(daemon: Daemon) -> None:
    stream, _, begun = begin_stream(daemon, "gone", "slow repeat:200", texts=5)
    stream.close()  # type: ignore[attr-defined]  # a generator
    wait_until(lambda: call(daemon, "GET", "/v1/sessions/gone")[0] == 200)
    _, kept = contents(daemon, "gone")
    assert kept.startswith(begun)
    assert len(kept) < 1000
    assert say(daemon, "gone", "back")["response"] == "back"


def test_a_long_session_drops_its_oldest_turns_and_never_gets_stuck(tmp_path: Path) -> None:
    with running(f"storage.directory={tmp_path}", engine=("--context", "3000")) as daemon:
        daemon.wait_ready()
        dropped = [
            say(daemon, "long", f"{number:03} " + "x" * 96, max_new_tokens=500)["dropped_turns"] for number in range(40)
        ]
        assert dropped[:10] == [0] * 10
        assert dropped == sorted(dropped)
        assert 20 < dropped[-1] < 40
        assert len(set(dropped)) < 15, "several turns go at once, so that the prefix cache lives for several turns"
        recalled = say(daemon, "long", "recall", system="keep me", max_new_tokens=4000)
        assert recalled["response"].startswith(f"keep me|{recalled['dropped_turns']:03} ")
        assert len(contents(daemon, "long")) == 2 * 41
        status, answer = call(daemon, "POST", "/chat", {"prompt": "y" * 4000, "session_id": "long"})
        assert (status, answer["error"]["code"]) == (400, "context_length_exceeded")
        assert say(daemon, "long", "still here")["response"] == "still here"


def test_keys_have_sessions_of_their_own_and_stop_only_their_own_requests(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    tokens = {"kitchen": "ye-kitchen", "garage": "ye-garage"}
    made = [ApiKey(name=name, sha256=hash_token(token), scopes=("chat",)) for name, token in tokens.items()]
    write_keys(path, tuple(made))
    kitchen, garage = ({"Authorization": f"Bearer {token}"} for token in tokens.values())
    with running(f"storage.directory={tmp_path / 'data'}", f"service.keys_file={path}") as daemon:
        daemon.wait_ready()
        assert daemon.request("POST", "/chat", {"prompt": "hello", "session_id": "a"}, kitchen)[0] == 200
        assert daemon.request("GET", "/v1/sessions/a", headers=garage)[0] == 404
        assert json.loads(daemon.request("GET", "/v1/sessions", headers=garage)[2]) == {"sessions": []}
        assert len(json.loads(daemon.request("GET", "/v1/sessions", headers=kitchen)[2])["sessions"]) == 1
        answers: list[bytes] = []
        body = {"prompt": "slow repeat:300", "max_new_tokens": 4000, "session_id": "b"}
        asking = threading.Thread(target=lambda: answers.append(daemon.request("POST", "/chat", body, kitchen)[2]))
        asking.start()
        running_request = ""

        def has_begun() -> str:
            nonlocal running_request
            refused = daemon.request("POST", "/v1/sessions/b/clear", headers=kitchen)
            found = re.search(r"chat-[0-9a-f]+", refused[2].decode())
            running_request = found[0] if found else ""
            return running_request

        wait_until(has_begun)
        cancel = f"/v1/requests/{running_request}/cancel"
        assert daemon.request("POST", cancel, headers=garage)[0] == 404
        assert daemon.request("POST", cancel, headers=kitchen)[0] == 200
        asking.join(20)
        assert json.loads(answers[0])["finish_reason"] == "cancelled"
