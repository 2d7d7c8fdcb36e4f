"""The response cache: what is answered from the disk, what never is, and that both answers are identical."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from front.scripted_daemon import Daemon, running, wait_until

CHAT = "/v1/chat/completions"
ON = "response_cache.enabled=true"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(
        f"storage.directory={tmp_path_factory.mktemp('data')}", ON, "service.max_restart_rate=1000/300"
    ) as started:
        yield started.wait_ready()
        assert started.stop() == 0


def ask(daemon: Daemon, text: str, path: str = CHAT, **more: Any) -> tuple[str | None, dict[str, Any]]:
    """The X-Cache header and the answer."""
    said = {"messages": [{"role": "user", "content": text}]} if path == CHAT else {"prompt": text}
    status, headers, data = daemon.request("POST", path, {**said, **more})
    answer: dict[str, Any] = json.loads(data)
    assert status == 200, answer
    return headers.get("x-cache"), answer


def computed(daemon: Daemon) -> int:
    """Tokens that the engine produced so far."""
    return int(daemon.status()["engine"]["sequence_steps"])


def test_the_second_time_the_engine_is_not_asked(daemon: Daemon) -> None:
    first = ask(daemon, "what time is it", temperature=0)
    before = computed(daemon)
    second = ask(daemon, "what time is it", temperature=0)
    assert (first[0], second[0]) == ("MISS", "HIT")
    assert computed(daemon) == before
    assert first[1]["choices"] == second[1]["choices"]
    assert first[1]["id"] != second[1]["id"]
    assert second[1]["usage"]["completion_tokens"] == first[1]["usage"]["completion_tokens"]
    assert second[1]["usage"]["prompt_tokens_details"]["cached_tokens"] == second[1]["usage"]["prompt_tokens"]
    assert daemon.metric('youtu_edge_response_cache_lookups_total{result="hit"}') >= 1
    assert daemon.metric('youtu_edge_response_cache_lookups_total{result="miss"}') >= 1


def test_a_hit_is_streamed_like_any_answer(daemon: Daemon) -> None:
    body = {
        "messages": [{"role": "user", "content": "stream me"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    events = [list(daemon.stream(CHAT, body | {"seed": 7, "temperature": 1.0})) for _ in range(2)]
    for chunks in events:
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        texts = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
        assert "".join(texts) == "stream me"
        assert chunks[-1]["usage"]["completion_tokens"] == 9
    assert [len(chunks) > 5 for chunks in events] == [True, False], "a hit comes in one piece"
    plain = [list(daemon.stream("/chat_stream", {"prompt": "stream me", "temperature": 0})) for _ in range(2)]
    assert [event["text"] for event in plain[1][1:-1]] == ["stream me"]
    assert plain[1][-1]["done"]


@pytest.mark.parametrize(
    ("change", "hit"),
    [
        ({}, True),
        ({"seed": 3}, True),
        ({"top_p": 0.5}, False),
        ({"max_tokens": 3}, False),
        ({"stop": "q"}, False),
        ({"temperature": 0.5, "seed": 1}, False),
        ({"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "the same"}]}, False),
    ],
)
def test_everything_that_changes_an_answer_is_part_of_the_key(daemon: Daemon, change: dict[str, Any], hit: bool) -> None:
    ask(daemon, "the same", temperature=0)
    assert ask(daemon, "the same", **{"temperature": 0, **change})[0] == ("HIT" if hit else "MISS")


@pytest.mark.parametrize("more", [{"temperature": 0.5}, {"temperature": 1.0, "top_p": 0.1}])
def test_what_would_come_out_differently_is_not_looked_up(daemon: Daemon, more: dict[str, Any]) -> None:
    assert [ask(daemon, "roll a die", **more)[0] for _ in range(2)] == [None, None]


def test_an_answer_that_was_cut_short_is_not_kept(daemon: Daemon) -> None:
    stream = daemon.stream("/chat_stream", {"prompt": "slow repeat:100", "temperature": 0})
    request_id = next(stream)["request_id"]
    next(stream)
    assert daemon.request("POST", f"/v1/requests/{request_id}/cancel")[0] == 200
    assert list(stream)[-1]["finish_reason"] == "cancelled"
    stream = daemon.stream("/chat_stream", {"prompt": "slow repeat:100", "temperature": 0})
    assert [len(next(stream).get("text", " ")) for _ in range(3)] == [1, 1, 1]
    stream.close()


def test_in_a_session_the_history_is_part_of_the_key(daemon: Daemon) -> None:
    answers = [
        [ask(daemon, text, "/chat", session_id=name, temperature=0, max_new_tokens=100)[0] for text in ("hello", "recall")]
        for name in ("a", "b")
    ]
    assert answers == [["MISS", "MISS"], ["HIT", "HIT"]]
    assert ask(daemon, "recall", "/chat", session_id="b", temperature=0, max_new_tokens=100)[0] == "MISS"
    assert json.loads(daemon.request("GET", "/v1/sessions/b")[2])["turns"] == 3


def test_a_hit_is_given_while_the_engine_restarts(daemon: Daemon) -> None:
    ask(daemon, "anybody there", temperature=0)
    daemon.kill_engine()
    wait_until(lambda: daemon.status()["state"] != "ready")
    assert ask(daemon, "anybody there", temperature=0)[0] == "HIT"
    assert ask(daemon, "somebody else", temperature=0)[0] == "MISS"


def test_answers_outlive_a_kill_and_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    settings = (f"storage.directory={tmp_path}", ON)
    with running(*settings) as daemon:
        daemon.wait_ready()
        ask(daemon, "remember", temperature=0)
        assert ask(daemon, "remember", temperature=0)[0] == "HIT"
        daemon.process.kill()
    with running(*settings) as daemon:
        daemon.wait_ready()
        assert ask(daemon, "remember", temperature=0)[0] == "HIT"
        assert daemon.stop() == 0
    (tmp_path / "response-cache.db").write_bytes(b"\xff" * 10_000)
    with running(*settings) as daemon:
        daemon.wait_ready()
        assert [ask(daemon, "remember", temperature=0)[0] for _ in range(2)] == ["MISS", "HIT"]
        assert daemon.stop() == 0
        assert b"database_set_aside file=response-cache.db" in daemon.log


def test_old_answers_and_those_beyond_the_size_go(tmp_path: Path) -> None:
    with running(f"storage.directory={tmp_path}", ON, "response_cache.max_size=200K") as daemon:
        daemon.wait_ready()
        for number in range(30):
            assert ask(daemon, f"{number} " + "x" * 8000, temperature=0, max_tokens=1)[0] == "MISS"
            text = f"{number}: " + "y" * 3500
            ask(daemon, text, temperature=0, max_tokens=4000)
            ask(daemon, "favourite", temperature=0)
        assert ask(daemon, "favourite", temperature=0)[0] == "HIT"
        assert ask(daemon, "0: " + "y" * 3500, temperature=0, max_tokens=4000)[0] == "MISS"
        assert ask(daemon, "29: " + "y" * 3500, temperature=0, max_tokens=4000)[0] == "HIT"
    with running(f"storage.directory={tmp_path}", ON, "response_cache.ttl_s=0.001") as daemon:
        daemon.wait_ready()
        assert ask(daemon, "favourite", temperature=0)[0] == "MISS"


def test_it_is_off_unless_configured() -> None:
    with running() as daemon:
        daemon.wait_ready()
        assert [ask(daemon, "hello", temperature=0)[0] for _ in range(2)] == [None, None]
