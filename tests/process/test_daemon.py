"""The whole daemon with a small model: two processes, HTTP, nothing mocked."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from daemon_process import Daemon, Stream, chat


def test_sixteen_streams_share_steps_and_answer_as_if_alone(daemon: Daemon) -> None:
    """Every stream finishes, greedy answers equal the solo answers, and a step serves many of them."""
    rng = random.Random(1)
    bodies = [
        chat("".join(rng.choice("abcdefgh ") for _ in range(rng.randrange(1, 150))), max_tokens=rng.randrange(60, 120))
        for _ in range(16)
    ]
    alone = [daemon.post("/v1/chat/completions", body)[1]["choices"][0] for body in bodies]
    before = daemon.metric("youtu_edge_engine_steps_total"), daemon.metric("youtu_edge_engine_sequence_steps_total")
    # Held while the requests arrive, so that they meet however slowly this machine starts sixteen clients.
    os.kill(daemon.engine_pid, signal.SIGSTOP)
    streams = [Stream(daemon, body) for body in bodies]
    deadline = time.monotonic() + 20
    while daemon.metric("youtu_edge_queue_depth") < 16 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(daemon.engine_pid, signal.SIGCONT)
    for stream in streams:
        stream.join(60)
        assert not stream.error
    assert [s.text for s in streams] == [a["message"]["content"] for a in alone]
    assert [s.reason for s in streams] == [a["finish_reason"] for a in alone]
    steps = daemon.metric("youtu_edge_engine_steps_total") - before[0]
    assert (daemon.metric("youtu_edge_engine_sequence_steps_total") - before[1]) / steps > 8


def test_streams_survive_two_kills_of_the_engine_without_gap_or_repeat(daemon: Daemon) -> None:
    """Eight streams, greedy and sampled, end with the text that they would have had."""
    bodies = [
        chat(f"story number {index}", max_tokens=400, **({"temperature": 1.0, "seed": index} if index % 2 else {}))
        for index in range(8)
    ]
    expected = [daemon.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"] for body in bodies]
    streams = [Stream(daemon, body) for body in bodies]
    pid = 0
    for _ in range(2):
        pid = daemon.wait_engine_pid(pid)
        seen = [len(s.text) for s in streams]
        deadline = time.monotonic() + 30
        while all(len(s.text) <= n + 10 for s, n in zip(streams, seen, strict=True)) and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
    for stream in streams:
        stream.join(60)
        assert not stream.error
        assert stream.reason in {"stop", "length"}
    assert [s.text for s in streams] == expected
    assert all(s.usage["completion_tokens"] <= 400 for s in streams)


def test_a_prefix_is_computed_once(daemon: Daemon) -> None:
    """The second request with the same system prompt reports its tokens as cached."""
    system = {"role": "system", "content": "rules " * 50}
    for index, least in enumerate((0, 280)):
        body = {"messages": [system, {"role": "user", "content": f"question {index}"}], "max_tokens": 4, "temperature": 0}
        usage = daemon.post("/v1/chat/completions", body)[1]["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] >= least
    assert usage["prompt_tokens_details"]["cached_tokens"] < usage["prompt_tokens"]


def test_the_smallest_temperature_is_greedy_and_a_penalty_of_nothing_is_refused(daemon: Daemon) -> None:
    """Numbers that vanish in float32 reach no division by zero."""
    greedy, *others = (
        daemon.post("/chat", {"prompt": "hi", "temperature": value})[1] for value in (0, 1e-320, 1e-46, 1e-6)
    )
    assert [answer["response"] for answer in others] == [greedy["response"]] * 3
    status, answer = daemon.post("/v1/chat/completions", chat("hi", temperature=1, repetition_penalty=1e-320))
    assert (status, answer["error"]["param"]) == (400, "repetition_penalty")
    assert daemon.post("/v1/chat/completions", chat("hi", temperature=1, repetition_penalty=0.01))[0] == 200
    assert "engine_died" not in daemon.log


def test_the_front_is_small_and_imports_no_model_library(daemon: Daemon) -> None:
    """While serving it stays below 50 MB, without numpy, onnxruntime or tokenizers."""
    streams = [Stream(daemon, chat("hello", max_tokens=200)) for _ in range(16)]
    for stream in streams:
        stream.join(60)
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    resident_kb = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
    maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
    assert resident_kb <= 50 * 1024
    assert not any(name in maps for name in ("numpy", "onnxruntime", "tokenizers"))


def test_the_front_alone_keeps_its_objects_in_the_heap_that_is_given_back(daemon: Daemon) -> None:
    def has_it(pid: int) -> bool:
        return b"PYTHONMALLOC=malloc" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")

    assert has_it(daemon.process.pid)
    assert not has_it(daemon.engine_pid)  # slower, and its pages are counted when it is planned


def test_a_small_cache_serves_more_than_fits_at_once(tiny_package: Path, tmp_path: Path) -> None:
    """With a cache for about two requests, eight of them preempt each other and all finish as they would alone."""
    bodies = [chat(f"{index} " * 20, max_tokens=100) for index in range(8)]
    with Daemon(tiny_package, tmp_path, model__kv_cache_max_page=24, model__page_tokens=16, engine__threads=2) as small:
        small.wait_ready()
        alone = [small.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"] for body in bodies]
        streams = [Stream(small, body) for body in bodies]
        for stream in streams:
            stream.join(90)
        assert [s.text for s in streams] == alone
        assert small.metric("youtu_edge_engine_preemptions_total") > 0
        too_long = small.post("/v1/chat/completions", chat("x" * 500))
        assert too_long[0] == 400
        assert too_long[1]["error"]["code"] == "context_length_exceeded"


def test_a_dropped_connection_stops_its_request(daemon: Daemon) -> None:
    """The engine runs nothing a moment after the only client went away."""
    name = "youtu_edge_engine_decode_tokens_total"
    for _ in range(20):  # on a busy machine the answer may be faster than the hand that stops the engine
        before = daemon.metric(name)
        events = daemon.stream(chat("long", max_tokens=450))
        next(events)
        next(events)
        os.kill(daemon.engine_pid, signal.SIGSTOP)  # so that it cannot finish before the connection is closed
        events.close()
        time.sleep(0.5)
        os.kill(daemon.engine_pid, signal.SIGCONT)
        deadline = time.monotonic() + 30
        while daemon.metric("youtu_edge_sequences_running") and time.monotonic() < deadline:
            time.sleep(0.02)
        decoded = daemon.metric(name)
        assert daemon.metric("youtu_edge_sequences_running") == 0
        if decoded - before < 445:
            break
    assert decoded - before < 445
    time.sleep(1.2)
    assert daemon.metric(name) == decoded


def test_a_signal_to_the_whole_group_still_drains(daemon: Daemon) -> None:
    """systemd sends SIGTERM to both processes; a running stream ends as it would have, and the daemon exits with 0."""
    body = chat("a last question", max_tokens=300)
    expected = daemon.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]
    stream = Stream(daemon, body)
    deadline = time.monotonic() + 20
    while not stream.text and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(daemon.process.pid, signal.SIGTERM)
    stream.join(30)
    assert stream.text == expected
    assert not stream.error
    assert daemon.process.wait(20) == 0
    assert "engine_died" not in daemon.log
