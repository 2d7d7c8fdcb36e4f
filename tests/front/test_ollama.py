"""Ollama's API with its own client. The scripted engine echoes the last turn that it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import ollama
import pytest

from front.ollama_calls import LOOK, call, lines, refused, user
from front.scripted_daemon import Daemon, running, wait_until
from youtu_edge.front.answers.pieces import Ended, Text, ToolArguments, ToolCallStart
from youtu_edge.front.dialects.ollama.messages import OllamaMessage, chat_messages
from youtu_edge.front.dialects.ollama.response import chat_answer
from youtu_edge.front.dialects.ollama.writer import AnswerWriter
from youtu_edge.protocol.from_engine import Finished

CALL = '<tool_call>{"name": "look", "arguments": {"at": "sky"}}</tool_call>'


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[ollama.Client]:
    with ollama.Client(f"http://127.0.0.1:{daemon.port}") as made:
        yield made


def test_a_chat_is_answered_whole(client: ollama.Client) -> None:
    before = datetime.now(UTC)
    answer = client.chat("scripted", user("Grüße"))
    assert (answer.message.role, answer.message.content, answer.message.thinking) == ("assistant", "Grüße", None)
    assert (answer.model, answer.done, answer.done_reason) == ("scripted", True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count, answer.load_duration) == (5, 5, 0)
    assert before <= datetime.fromisoformat(answer.created_at or "") <= datetime.now(UTC)
    assert answer.prompt_eval_duration is not None
    assert answer.eval_duration is not None
    assert answer.total_duration == answer.prompt_eval_duration + answer.eval_duration


def test_a_stream_is_the_default_and_has_a_document_on_each_line(daemon: Daemon, client: ollama.Client) -> None:
    got = lines(daemon, "/api/chat", {"model": "scripted", "messages": user("hello\nworld")})
    assert "".join(line["message"]["content"] for line in got) == "hello\nworld"
    assert [line["done"] for line in got] == [False] * (len(got) - 1) + [True]
    assert set(got[0]) == {"model", "created_at", "done", "message"}
    assert got[-1]["done_reason"] == "stop"
    assert got[-1]["eval_count"] == len("hello\nworld")
    parts = list(client.chat("scripted", user("hello"), stream=True))
    assert "".join(part.message.content or "" for part in parts) == "hello"
    assert parts[-1].done


def test_a_prompt_is_answered_whole_and_streamed(client: ollama.Client) -> None:
    assert client.generate("scripted", "hello").response == "hello"
    assert client.generate("scripted", "recall", system="be kind").response == "be kind|recall"
    parts = list(client.generate("scripted", "<think>hm</think>yes", stream=True))
    assert "".join(part.thinking or "" for part in parts) == "hm"
    assert "".join(part.response or "" for part in parts) == "yes"
    assert parts[-1].done_reason == "stop"


def test_thoughts_are_apart_from_the_answer(client: ollama.Client) -> None:
    answer = client.chat("scripted", user("<think>hm, so</think>yes"), think=False)
    assert (answer.message.thinking, answer.message.content) == ("hm, so", "yes")
    parts = list(client.chat("scripted", user("<think>hm, so</think>yes"), stream=True))
    assert "".join(part.message.thinking or "" for part in parts) == "hm, so"
    assert "".join(part.message.content or "" for part in parts) == "yes"


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_with_an_object(client: ollama.Client, stream: bool) -> None:
    asked: Any = {"model": "scripted", "messages": user(f"Let me see.{CALL}{CALL}"), "tools": [LOOK]}
    got = list(client.chat(**asked, stream=True)) if stream else [client.chat(**asked)]
    calls = [call for part in got for call in part.message.tool_calls or ()]
    assert [(call.function.name, call.function.arguments) for call in calls] == [("look", {"at": "sky"})] * 2
    assert "".join(part.message.content or "" for part in got) == "Let me see."
    assert got[-1].done_reason == "stop"


def test_the_conversation_goes_on_with_what_the_tool_answered(client: ollama.Client) -> None:
    first = client.chat("scripted", user(f"<think>hm</think>ok{CALL}"), tools=[LOOK])
    turns: list[Any] = [*user("look"), first.message, {"role": "tool", "tool_name": "look", "content": "blue"}]
    assert client.chat("scripted", turns, tools=[LOOK]).message.content == "blue"


def ids(*messages: dict[str, Any]) -> list[str | None]:
    """The ids of the calls that the results belong to."""
    turns = chat_messages([msgspec.convert(message, OllamaMessage) for message in messages])
    return [turn.tool_call_id for turn in turns if turn.role == "tool"]


def test_a_result_belongs_to_the_call_that_it_names_or_to_the_first_open_one() -> None:
    asked = {"role": "assistant", "tool_calls": [call("a"), call("b"), call("a", "mine")]}
    first, second = {"role": "tool", "content": "1"}, {"role": "tool", "content": "2", "tool_name": "b"}
    assert ids(asked, first, first) == ["call_0_0", "call_0_1"]
    assert ids(asked, second, first) == ["call_0_1", "call_0_0"]
    assert ids(asked, {"role": "tool", "tool_call_id": "mine"}, second) == ["mine", "call_0_1"]
    assert ids(first) == [None]


def test_a_call_that_was_cut_off_is_left_out() -> None:
    writer = AnswerWriter("m", chat_answer, iter(range(100, 1000)).__next__)
    end = Finished("r", "length", prompt_tokens=7, cached_tokens=0, completion_tokens=9)
    begun = [Text("so"), ToolCallStart(0, "c", "look"), ToolArguments(0, '{"at": "s')]
    sent = [msgspec.to_builtins(line) for piece in [*begun, Ended("length", end)] for line in writer.write(0, piece)]
    assert [line["message"] for line in sent] == [{"role": "assistant", "content": text} for text in ("so", "")]
    assert (sent[-1]["done_reason"], sent[-1]["total_duration"]) == ("length", 2)
    assert (sent[-1]["prompt_eval_duration"], sent[-1]["eval_duration"]) == (1, 1)
    assert (sent[-1]["prompt_eval_count"], sent[-1]["eval_count"]) == (7, 9)


@pytest.mark.parametrize("stream", [False, True])
def test_the_limit_ends_the_answer(daemon: Daemon, stream: bool) -> None:
    body = {"messages": user("abcdef"), "options": {"num_predict": 3}, "stream": stream}
    got = daemon.request("POST", "/api/chat", body)[2].decode().splitlines()
    last = json.loads(got[-1])
    assert "".join(json.loads(line)["message"]["content"] for line in got) == "abc"
    assert (last["done_reason"], last["eval_count"]) == ("length", 3)


@pytest.mark.parametrize("name", [None, "default", "default:latest", "scripted", "scripted:latest", "Scripted:latest"])
def test_the_model_is_named_as_ollamas_clients_do(daemon: Daemon, name: str | None) -> None:
    assert lines(daemon, "/api/chat", {"model": name, "messages": user("hi")})[-1]["model"] == (name or "scripted")


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/show"])
def test_another_model_is_not_found(daemon: Daemon, client: ollama.Client, path: str) -> None:
    assert refused(daemon, {"model": "llama3:8b"}, path)[0] == 404
    with pytest.raises(ollama.ResponseError) as caught:
        client.chat("llama3", user("hi"))
    assert caught.value.status_code == 404
    assert caught.value.error == "model: 'llama3' is not served here; use 'scripted'"


@pytest.mark.parametrize("body", [{"messages": []}, {}, {"messages": [], "keep_alive": 0, "stream": False}])
def test_a_chat_without_messages_asks_whether_the_model_is_loaded(daemon: Daemon, body: dict[str, Any]) -> None:
    document = json.loads(daemon.request("POST", "/api/chat", body)[2])
    assert document.pop("created_at").endswith("Z")
    message = {"role": "assistant", "content": ""}
    assert document == {"model": "scripted", "message": message, "done": True, "done_reason": "load"}


def test_a_prompt_without_text_asks_whether_the_model_is_loaded(client: ollama.Client) -> None:
    answer = client.generate("scripted", "", keep_alive="10m")
    assert (answer.response, answer.done, answer.done_reason) == ("", True, "load")


def test_the_served_model_is_listed_and_shown(client: ollama.Client) -> None:
    (listed,) = client.list().models
    assert listed.model == "scripted:latest"
    (loaded,) = client.ps().models
    assert (loaded.name, loaded.context_length, loaded.size_vram) == ("scripted:latest", 4096, 0)
    assert loaded.expires_at is not None
    assert loaded.expires_at.year == 9999
    shown = client.show("scripted:latest")
    assert shown.capabilities == ["completion", "tools"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["unknown.context_length"] == 4096


def test_a_name_in_both_words_must_be_the_same(daemon: Daemon) -> None:
    assert daemon.request("POST", "/api/show", {"name": "scripted"})[0] == 200
    assert refused(daemon, {"name": "scripted", "model": "default"}, "/api/show")[0] == 400


def test_the_version_is_one_of_ollamas(daemon: Daemon) -> None:
    version = json.loads(daemon.request("GET", "/api/version")[2])
    assert set(version) == {"version", "youtu_edge"}
    assert tuple(map(int, version["version"].split("."))) >= (0, 6, 4)


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_a_client_that_leaves_cancels_its_request(daemon: Daemon, client: ollama.Client, path: str) -> None:
    cancelled = daemon.metric('youtu_edge_requests_total{outcome="cancelled"}')
    text = "slow repeat:200"
    stream: Iterator[Any] = (
        iter(client.chat("scripted", user(text), stream=True))
        if path == "/api/chat"
        else iter(client.generate("scripted", text, stream=True))
    )
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # both are generators
    wait_until(lambda: daemon.metric('youtu_edge_requests_total{outcome="cancelled"}') == cancelled + 1)


def test_an_error_after_the_status_is_the_last_line() -> None:
    with running("service.max_restart_rate=1/300") as daemon:
        daemon.wait_ready()
        daemon.kill_engine()
        wait_until(lambda: daemon.status()["restarts"] == 1 and daemon.status()["state"] == "ready")
        last = lines(daemon, "/api/chat", {"messages": user("die@3 and more")})[-1]
        assert set(last) == {"error"}
        assert refused(daemon, {"messages": user("hi")})[0] == 503


def test_nothing_is_listed_while_the_model_loads() -> None:
    with running(engine=("--never-ready",)) as daemon:
        for path in ("/api/tags", "/api/ps"):
            status, _, data = daemon.request("GET", path)
            assert (status, json.loads(data)) == (200, {"models": []})
        assert refused(daemon, {"messages": []})[0] == 503
        assert daemon.stop() == 0
