"""Sessions as a tree of turns: other answers, edited questions, continued answers, deleted turns; search and import."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from front.scripted_daemon import Daemon, running
from front.session_calls import call, contents, say
from youtu_edge.front.conversations.schema import MIGRATIONS


def turns(daemon: Daemon, session: str) -> list[int]:
    """The numbers of the turns that are shown."""
    return [message["turn"] for message in call(daemon, "GET", f"/v1/sessions/{session}")[1]["messages"][::2]]


def test_a_question_is_edited_and_both_branches_stay(daemon: Daemon) -> None:
    """The model sees the path of the new question only; PATCH shows the other branch again, up to its end."""
    first = say(daemon, "edit", "one")["turn"]
    second = say(daemon, "edit", "two")["turn"]
    third = say(daemon, "edit", "three")["turn"]
    edited = say(daemon, "edit", "TWO recall", parent_turn=first)
    assert edited["response"] == "one|one|TWO recall"
    assert turns(daemon, "edit") == [first, edited["turn"]]
    messages = call(daemon, "GET", "/v1/sessions/edit")[1]["messages"]
    assert [message.get("branches") for message in messages] == [None, None, [second, edited["turn"]], None]
    status, document = call(daemon, "PATCH", "/v1/sessions/edit", {"turn": second})
    assert status == 200
    assert [message["content"] for message in document["messages"]] == ["one", "one", "two", "two", "three", "three"]
    assert turns(daemon, "edit") == [first, second, third]
    assert say(daemon, "edit", "recall")["response"] == "one|one|two|two|three|three|recall"


def test_an_answer_is_made_again_even_the_first(daemon: Daemon) -> None:
    """parent_turn 0: nothing comes before."""
    first = say(daemon, "again", "one")["turn"]
    other = say(daemon, "again", "one", parent_turn=0)["turn"]
    assert turns(daemon, "again") == [other]
    assert call(daemon, "GET", "/v1/sessions/again")[1]["messages"][0]["branches"] == [first, other]


def test_an_answer_that_its_limit_cut_is_continued_in_place(daemon: Daemon) -> None:
    """Only what is new is sent; the session has the whole answer, and so has the next prompt."""
    text = "<think>Let me see.</think>The answer to everything is 42."
    cut = say(daemon, "cut", text, max_new_tokens=12)
    assert (cut["finish_reason"], cut["response"]) == ("length", "")
    more = say(daemon, "cut", continue_turn=cut["turn"], max_new_tokens=24)
    assert more["turn"] == cut["turn"]
    assert (more["thinking"], more["response"]) == ("e see.", "The answer")
    rest = list(daemon.stream("/chat_stream", {"session_id": "cut", "continue_turn": cut["turn"]}))
    assert rest[-1]["finish_reason"] == "stop"
    assert contents(daemon, "cut") == [text, "The answer to everything is 42."]
    assert call(daemon, "GET", "/v1/sessions/cut")[1]["messages"][1]["thinking"] == "Let me see."
    status, refused = call(daemon, "POST", "/chat", {"session_id": "cut", "continue_turn": cut["turn"]})
    assert (status, refused["error"]["param"]) == (400, "continue_turn")


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"session_id": "x"}, 400, "prompt"),
        ({"prompt": "hi", "parent_turn": 0}, 400, "parent_turn"),
        ({"continue_turn": 1}, 400, "continue_turn"),
        ({"prompt": "hi", "session_id": "x", "continue_turn": 1}, 400, "prompt"),
        ({"session_id": "x", "continue_turn": 1, "parent_turn": 1}, 400, "parent_turn"),
        ({"session_id": "nothing", "continue_turn": 1}, 404, "continue_turn"),
        ({"prompt": "hi", "session_id": "x", "parent_turn": 10**6}, 404, "parent_turn"),
    ],
)
def test_a_place_that_makes_no_sense_is_rejected_by_name(
    daemon: Daemon, body: dict[str, Any], status: int, param: str
) -> None:
    say(daemon, "x", "one")
    got, refused = call(daemon, "POST", "/chat", body)
    assert (got, refused["error"]["param"]) == (status, param)


def test_a_session_that_does_not_exist_has_no_turn_to_follow(daemon: Daemon) -> None:
    """Nothing is stored; 0, which is no turn, begins the session."""
    for place, more in (("parent_turn", {"prompt": "one"}), ("continue_turn", {})):
        status, refused = call(daemon, "POST", "/chat", {"session_id": "nowhere", place: 5, **more})
        assert (status, refused["error"]["param"]) == (404, place)
    assert call(daemon, "GET", "/v1/sessions/nowhere")[0] == 404
    assert say(daemon, "nowhere", "one", parent_turn=0)["stored"]


def test_a_question_is_deleted_with_its_answer_and_what_follows_stays(daemon: Daemon) -> None:
    """Also the last one, and one of several branches, whose sibling is shown instead."""
    for prompt in ("one", "two", "three"):
        say(daemon, "delete", prompt)
    first, second, third = turns(daemon, "delete")
    assert call(daemon, "DELETE", f"/v1/sessions/delete/turns/{second}")[0] == 200
    assert contents(daemon, "delete") == ["one", "one", "three", "three"]
    other = say(daemon, "delete", "THREE", parent_turn=first)["turn"]
    assert call(daemon, "DELETE", f"/v1/sessions/delete/turns/{other}")[0] == 200
    assert turns(daemon, "delete") == [first, third]
    for turn in (third, first):
        assert call(daemon, "DELETE", f"/v1/sessions/delete/turns/{turn}")[0] == 200
    assert contents(daemon, "delete") == []
    assert call(daemon, "DELETE", f"/v1/sessions/delete/turns/{first}")[0] == 404
    assert call(daemon, "DELETE", "/v1/sessions/delete/turns/x")[0] == 400
    assert say(daemon, "delete", "again recall")["response"] == "again recall"


def test_what_was_said_is_found_and_shown_at_its_place(daemon: Daemon) -> None:
    """In titles, questions and answers, whatever the case; % and _ are what they are."""
    say(daemon, "find-a", "The Warehouse is at 100% humidity, as the sensor says every morning since Monday")
    say(daemon, "find-b", "别的 事情")
    found = call(daemon, "GET", "/v1/sessions?search=wareHOUSE")[1]["sessions"]
    assert [session["id"] for session in found] == ["find-a"]
    assert found[0]["excerpt"].startswith("The Warehouse is at 100%")
    assert found[0]["excerpt"].endswith("…")
    assert [s["id"] for s in call(daemon, "GET", "/v1/sessions?search=100%25%20h")[1]["sessions"]] == ["find-a"]
    assert call(daemon, "GET", "/v1/sessions?search=1_0")[1]["sessions"] == []
    assert [s["id"] for s in call(daemon, "GET", "/v1/sessions?search=%E4%BA%8B")[1]["sessions"]] == ["find-b"]
    assert "excerpt" not in call(daemon, "GET", "/v1/sessions")[1]["sessions"][0]


def test_an_exported_session_is_imported_under_another_name(daemon: Daemon) -> None:
    """Messages, system prompt, title and figures are the same; the model sees them."""
    say(daemon, "out", "one", system="be brief")
    say(daemon, "out", "two")
    exported = json.loads(daemon.request("GET", "/v1/sessions/out/export")[2])
    status, imported = call(daemon, "PUT", "/v1/sessions/in", exported)
    assert status == 200
    for field in ("title", "system"):
        assert imported[field] == exported[field]
    kept = ("role", "content", "created", "completion_tokens", "seconds", "tokens_per_second")
    assert [{name: message.get(name) for name in kept} for message in imported["messages"]] == [
        {name: message.get(name) for name in kept} for message in exported["messages"]
    ]
    assert say(daemon, "in", "recall")["response"] == "be brief|one|one|two|two|recall"
    status, refused = call(daemon, "PUT", "/v1/sessions/in", exported)
    assert (status, refused["error"]["param"]) == (400, "session_id")


@pytest.mark.parametrize(
    ("name", "body", "param"),
    [
        ("n", {"messages": []}, "messages"),
        ("n", {"messages": [{"role": "assistant", "content": "x"}]}, "messages[0].role"),
        ("n", {"messages": [{"role": "user", "content": "x"}] * 2}, "messages[1].role"),
        ("a.b", {"messages": [{"role": "user", "content": "x"}]}, "session_id"),
    ],
)
def test_what_is_no_conversation_is_not_imported(daemon: Daemon, name: str, body: Any, param: str) -> None:
    status, refused = call(daemon, "PUT", f"/v1/sessions/{name}", body)
    assert (status, refused["error"]["param"]) == (400, param)


def test_the_figures_of_an_answer_are_kept(daemon: Daemon) -> None:
    """As the last event of the stream told them."""
    done = list(daemon.stream("/chat_stream", {"prompt": "slow hello there", "session_id": "figures"}))[-1]
    message = call(daemon, "GET", "/v1/sessions/figures")[1]["messages"][1]
    assert message["completion_tokens"] == done["usage"]["completion_tokens"] == len("slow hello there")
    assert message["seconds"] == done["seconds"] > 0
    assert message["tokens_per_second"] == done["tokens_per_second"] > 0
    assert message["finish_reason"] == "stop"


def test_sessions_of_an_older_version_are_read(tmp_path: Path) -> None:
    """Their turns follow one another, and go on."""
    database = sqlite3.connect(tmp_path / "conversations.db")
    database.executescript(MIGRATIONS[0])
    database.executescript(
        "PRAGMA user_version = 1; INSERT INTO conversation VALUES (7, '', 'old', 'Old', 'be brief', 5, 6, 1, 1);"
        + "".join(f"INSERT INTO turn VALUES ({n}, 7, 5, 6, 'q{n}', 'a{n}', '', x'');" for n in (3, 5, 8))
    )
    database.close()
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        assert contents(daemon, "old") == ["q3", "a3", "q5", "a5", "q8", "a8"]
        assert turns(daemon, "old") == [3, 5, 8]
        assert say(daemon, "old", "recall")["response"] == "be brief|q5|a5|q8|a8|recall"
