"""Turns of sessions with an Idempotency-Key: stored exactly once, whatever dies in between, with or without a client."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from front.scripted_daemon import Daemon, running, wait_until
from front.session_calls import call, contents, say
from youtu_edge.encoding import msgpack_bytes
from youtu_edge.front.conversations.conversation import Name, Place
from youtu_edge.front.conversations.durable_turns import Unfinished
from youtu_edge.front.conversations.turn_prompt import TurnRequest

TEXT = "slow repeat:4 The quick brown fox. "


def ask(daemon: Daemon, key: str, body: dict[str, Any], last: int = 0, most: int = 10**9) -> list[dict[str, Any]]:
    """At most `most` events after number `last`, each with its number as "id"; then the client is gone."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
    headers = {"Idempotency-Key": key} | ({"Last-Event-ID": str(last)} if last else {})
    connection.request("POST", "/chat_stream", body=json.dumps(body), headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    events: list[dict[str, Any]] = []
    number = 0
    try:
        while len(events) < most and (line := answer.readline()):
            if line.startswith(b"id: "):
                number = int(line[4:])
            elif line.startswith(b"data: "):
                events.append({"id": number, **json.loads(line[6:])})
    except (ConnectionError, http.client.IncompleteRead):
        pass
    finally:
        answer.close()
        connection.close()
    return events


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event.get("text", "") for event in events)


def test_a_turn_with_a_key_is_answered_and_stored_once(tmp_path: Path) -> None:
    """The same key gets the same events, and the session has one turn."""
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        body = {"prompt": "hello", "session_id": "s"}
        first, second = ask(daemon, "k", body), ask(daemon, "k", body)
        assert first == second
        assert first[-1]["done"]
        assert first[-1]["stored"]
        assert first[-1]["turn"] > 0
        assert contents(daemon, "s") == ["hello", "hello"]
        assert ask(daemon, "k", body, last=first[-2]["id"]) == first[-1:]
        status, _, data = daemon.request("POST", "/chat", body, {"Idempotency-Key": "whole"})
        assert (status, json.loads(data)["stored"]) == (200, True)
        assert say(daemon, "s", "recall")["response"] == "hello|hello|hello|hello|recall"


def test_a_client_that_leaves_does_not_end_its_turn(tmp_path: Path) -> None:
    """It is finished and stored without anybody reading it; until then the session is busy."""
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        body = {"prompt": TEXT, "session_id": "s"}
        seen = ask(daemon, "k", body, most=4)
        status, refused = call(daemon, "POST", "/chat", {"prompt": "me too", "session_id": "s"})
        assert (status, refused["error"]["code"]) == (409, "session_busy")
        assert call(daemon, "GET", "/v1/sessions")[1]["sessions"] == []
        wait_until(lambda: daemon.status()["unfinished_durable_requests"] == 0)
        rest = ask(daemon, "k", body, last=seen[-1]["id"])
        assert text_of(seen + rest) == TEXT * 4
        assert contents(daemon, "s") == [TEXT, TEXT * 4]


@pytest.mark.parametrize("victim", ["engine", "daemon", "both"])
def test_a_turn_survives_the_death_of(victim: str, tmp_path: Path) -> None:
    """`kill -9` in mid-answer: the client goes on after the last event that it has, and the turn is stored once."""
    body = {"prompt": TEXT, "session_id": "s", "system": "be brief"}
    with running(f"storage.directory={tmp_path}") as daemon:
        say(daemon.wait_ready(), "s", "before")
        seen = ask(daemon, "k", body, most=8)
        if victim != "daemon":
            daemon.kill_engine()
        if victim == "engine":
            rest = ask(daemon, "k", body, last=seen[-1]["id"])
        else:
            os.kill(daemon.process.pid, signal.SIGKILL)
            daemon.wait_exit()
    if victim != "engine":
        with running(f"storage.directory={tmp_path}") as daemon:
            daemon.wait_ready()
            rest = ask(daemon, "k", body, last=seen[-1]["id"])
            assert contents(daemon, "s") == ["before", "before", TEXT, TEXT * 4]
            assert call(daemon, "GET", "/v1/sessions/s")[1]["system"] == "be brief"
            assert say(daemon, "s", "recall")["response"].startswith("be brief|before|before|slow repeat")
    assert text_of(seen + rest) == TEXT * 4
    assert rest[-1]["stored"]
    assert [event["id"] for event in seen + rest] == list(range(1, len(seen + rest) + 1))


def test_a_turn_that_ended_but_was_not_stored_is_stored_at_the_next_start(tmp_path: Path) -> None:
    """Power went between the end in the journal and the turn in the session."""
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        body = {"prompt": "hello", "session_id": "s"}
        done = ask(daemon, "k", body)[-1]
        assert daemon.stop() == 0
    with sqlite3.connect(tmp_path / "conversations.db") as database:
        (request,) = database.execute("SELECT request FROM turn").fetchone()
        database.execute("DELETE FROM conversation")
        database.execute("DELETE FROM turn")
        database.execute("INSERT INTO unfinished_turn VALUES (?, ?)", (request, note(body["prompt"])))
    database.close()
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        wait_until(lambda: daemon.request("GET", "/v1/sessions/s")[0] == 200)
        assert contents(daemon, "s") == ["hello", "hello"]
        assert ask(daemon, "k", body)[-1]["stored"] == done["stored"]


def note(prompt: str) -> bytes:
    """The note of an unfinished turn."""
    request = TurnRequest(
        name=Name("", "s"), prompt=prompt, system=None, reserve_tokens=1, is_streamed=True, place=Place(parent=0)
    )
    return msgpack_bytes(Unfinished(request, 1_800_000_000))


def test_a_turn_is_stopped_with_what_has_come(tmp_path: Path) -> None:
    """Cancelling works as for every request, and frees the session."""
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        body = {"prompt": "slow repeat:200 on and on ", "session_id": "s"}
        seen = ask(daemon, "k", body, most=5)
        assert call(daemon, "POST", f"/v1/requests/{seen[0]['request_id']}/cancel")[0] == 200
        rest = ask(daemon, "k", body, last=seen[-1]["id"])
        assert rest[-1]["finish_reason"] == "cancelled"
        assert contents(daemon, "s")[1] == text_of(seen + rest)
        assert say(daemon, "s", "next")["stored"]


def test_a_turn_whose_old_turns_no_longer_fit_is_shortened_after_a_restart_too(tmp_path: Path) -> None:
    """The engine of the next start gets the same prompt."""
    body = {"prompt": TEXT, "session_id": "s", "max_new_tokens": 500}
    engine = ("--context", "700")
    with running(f"storage.directory={tmp_path}", engine=engine) as daemon:
        daemon.wait_ready()
        for number in range(4):
            say(daemon, "s", f"{number} " + "x" * 60, max_new_tokens=100)
        seen = ask(daemon, "k", body, most=8)
        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.wait_exit()
    with running(f"storage.directory={tmp_path}", engine=engine) as daemon:
        daemon.wait_ready()
        rest = ask(daemon, "k", body, last=seen[-1]["id"])
        assert text_of(seen + rest) == TEXT * 4
        assert rest[-1]["dropped_turns"] > 0
