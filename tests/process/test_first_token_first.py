"""Features for voice devices: a warm system prompt, answers that end with the sentence, urgent requests first."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from daemon_process import Daemon, Stream, chat

SYSTEM = "You are the voice of a small robot. " * 4
APPLICATION = "Another application speaks like this. " * 3


def with_system(system: str, content: str, **more: Any) -> dict[str, Any]:
    body = chat(content, **more)
    return {**body, "messages": [{"role": "system", "content": system}, *body["messages"]]}


def cached_tokens(daemon: Daemon, body: dict[str, Any]) -> tuple[int, int]:
    """(prompt tokens taken from the cache, prompt tokens)."""
    status, answer = daemon.post("/v1/chat/completions", {"max_tokens": 2, **body})
    assert status == 200, answer
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"], answer["usage"]["prompt_tokens"]


def test_the_first_request_finds_the_system_prompt_in_the_cache(tiny_package: Path, tmp_path: Path) -> None:
    """Of its prompt only what the user says is computed, and the frame of the answer."""
    with Daemon(tiny_package, tmp_path, model__system_prompt=SYSTEM) as daemon:
        daemon.wait_ready()
        cached, total = cached_tokens(daemon, chat("hello"))
        assert cached > len(SYSTEM) / 4
        assert total - cached < 40


def test_a_warm_prompt_is_never_evicted(tiny_package: Path, tmp_path: Path) -> None:
    """Other prompts fill the cache many times over; the warm ones stay, and everybody else is served all the same."""
    warm = {"model__system_prompt": SYSTEM, "model__warm_prompts": json.dumps([APPLICATION])}
    with Daemon(tiny_package, tmp_path, model__kv_cache_max_page=40, model__page_tokens=16, **warm) as daemon:
        daemon.wait_ready()
        first = cached_tokens(daemon, chat("hello")), cached_tokens(daemon, with_system(APPLICATION, "hello"))
        streams = [
            Stream(daemon, with_system(f"{number} {chr(97 + number) * 250}", "x", max_tokens=40)) for number in range(8)
        ]
        for stream in streams:
            stream.join(60)
            assert not stream.error
            assert stream.reason == "length"
        after = cached_tokens(daemon, chat("again")), cached_tokens(daemon, with_system(APPLICATION, "again"))
        assert all(late[0] >= early[0] - 5 for early, late in zip(first, after, strict=True))
        os.kill(daemon.engine_pid, signal.SIGKILL)
        assert cached_tokens(daemon, chat("hello"))[0] == first[0][0], "the next engine warms them too"


def test_a_prompt_need_not_be_kept_warm(tiny_package: Path, tmp_path: Path) -> None:
    """It is still the system message, but it is not computed before the first request."""
    with Daemon(tiny_package, tmp_path, model__system_prompt=SYSTEM, model__keep_warm="false") as daemon:
        daemon.wait_ready()
        cached, total = cached_tokens(daemon, chat("hello"))
        assert cached == 0
        assert total > len(SYSTEM) / 4


def test_a_conversation_with_its_own_system_message_does_not_get_the_default_one(
    tiny_package: Path, tmp_path: Path
) -> None:
    with Daemon(tiny_package, tmp_path, model__system_prompt=SYSTEM) as daemon:
        daemon.wait_ready()
        own = daemon.post("/apply-template", {"messages": with_system("Mine.", "hello")["messages"]})[1]["prompt"]
        default = daemon.post("/apply-template", {"messages": chat("hello")["messages"]})[1]["prompt"]
    assert ("Mine." in own, SYSTEM.strip() in own) == (True, False)
    assert SYSTEM.strip() in default


def test_warm_prompts_that_leave_no_cache_for_requests_stop_the_start(tiny_package: Path, tmp_path: Path) -> None:
    with Daemon(
        tiny_package, tmp_path, model__kv_cache_max_page=4, model__page_tokens=16, model__system_prompt=SYSTEM
    ) as daemon:
        assert daemon.process.wait(60) == 78
        assert "more than half of the 4 cache pages" in daemon.log


def test_an_answer_ends_at_the_default_stop_unless_the_request_names_its_own(tiny_package: Path, tmp_path: Path) -> None:
    with Daemon(tiny_package, tmp_path) as daemon:
        daemon.wait_ready()
        whole = daemon.post("/v1/chat/completions", chat("tell me", max_tokens=60))[1]["choices"][0]["message"]["content"]
    stop = next(whole[index : index + 2] for index in range(10, 40) if whole[index : index + 2].isalpha())
    with Daemon(tiny_package, tmp_path, generation__stop=json.dumps([stop])) as daemon:
        daemon.wait_ready()
        choice = daemon.post("/v1/chat/completions", chat("tell me", max_tokens=60))[1]["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == (whole[: whole.index(stop)], "stop")
        plain = daemon.post("/chat", {"prompt": "tell me", "max_new_tokens": 60, "temperature": 0})[1]
        assert plain["response"] == whole[: whole.index(stop)], "every dialect has the default"
        for own in ([], ["never in the text"]):
            choice = daemon.post("/v1/chat/completions", chat("tell me", max_tokens=60, stop=own))[1]["choices"][0]
            assert (choice["message"]["content"], choice["finish_reason"]) == (whole, "length")


def test_a_stop_text_that_is_kept_ends_the_answer(tiny_package: Path, tmp_path: Path) -> None:
    with Daemon(tiny_package, tmp_path, generation__stop='["e", "a", "o"]', generation__keep_stop="true") as daemon:
        daemon.wait_ready()
        choice = daemon.post("/v1/chat/completions", chat("tell me", max_tokens=100))[1]["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"][-1] in "eao"


@pytest.mark.parametrize("header", ["u=0", "i, u=0"])
def test_an_urgent_request_overtakes_those_that_came_before(tiny_package: Path, tmp_path: Path, header: str) -> None:
    """One place, taken by a long answer, and one request waiting for it: the urgent one is done before both."""
    ids: dict[str, str] = {}

    def ask(name: str, max_tokens: int, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=120)
        connection.request("POST", "/v1/chat/completions", json.dumps(chat(name, max_tokens=max_tokens)), headers)
        ids[name] = json.loads(connection.getresponse().read())["id"]
        connection.close()

    def start(name: str, max_tokens: int, headers: dict[str, str]) -> threading.Thread:
        before = daemon.metric("youtu_edge_queue_depth")
        thread = threading.Thread(target=ask, args=(name, max_tokens, headers), daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while daemon.metric("youtu_edge_queue_depth") == before and time.monotonic() < deadline:
            time.sleep(0.01)
        return thread

    with Daemon(tiny_package, tmp_path, scheduler__max_sequences=1) as daemon:
        daemon.wait_ready()
        os.kill(daemon.engine_pid, signal.SIGSTOP)  # held until all three have come
        threads = [start("long", 300, {}), start("waiting", 5, {}), start("urgent", 5, {"Priority": header})]
        os.kill(daemon.engine_pid, signal.SIGCONT)
        for thread in threads:
            thread.join(60)
        ended = daemon.log  # the order in which this process' threads wake up says nothing
    assert ended.index(ids["urgent"]) < min(ended.index(ids["long"]), ended.index(ids["waiting"]))


def test_a_request_whose_time_was_over_in_the_queue_costs_no_work(tiny_package: Path, tmp_path: Path) -> None:
    """It is answered 504, and of its prompt nothing is ever computed."""
    with Daemon(tiny_package, tmp_path) as daemon:
        daemon.wait_ready()
        daemon.post("/v1/chat/completions", chat("warm", max_tokens=1))
        before = daemon.metric("youtu_edge_engine_prefill_tokens_total")
        os.kill(daemon.engine_pid, signal.SIGSTOP)  # as busy as an engine can be
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        body = json.dumps({"messages": [{"role": "system", "content": "q" * 300}, {"role": "user", "content": "late"}]})
        connection.request("POST", "/v1/chat/completions", body, {"X-Request-Timeout-S": "0.2"})
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (504, "deadline_exceeded")
        connection.close()
        os.kill(daemon.engine_pid, signal.SIGCONT)
        daemon.post("/v1/chat/completions", chat("x", max_tokens=1))
        assert daemon.metric("youtu_edge_engine_prefill_tokens_total") - before < 100


@pytest.mark.parametrize("profile", ["voice", "inspection", "education"])
def test_every_profile_starts_and_answers(tiny_package: Path, tmp_path: Path, profile: str) -> None:
    """Also with a model that was trained for 512 tokens, whose context education stretches."""
    config = Path(__file__).parents[2] / "config/profiles" / f"{profile}.yaml"
    with Daemon(tiny_package, tmp_path, config_file=config) as daemon:
        daemon.wait_ready()
        status, answer = daemon.post("/chat", {"prompt": "hello"})
        assert status == 200, answer
        assert answer["usage"]["completion_tokens"] > 0
        if profile == "voice":
            assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] > 100
