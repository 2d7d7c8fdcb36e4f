"""The same request has the same answer, to the last bit, whatever else happens, as docs/api.md promises."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from daemon_process import Daemon, Stream, chat
from front.scripted_daemon import wait_until
from made_once import made_once
from tiny_model import make_tiny_package
from youtu_edge.package import read_manifest

PROMPT = "The quick brown fox jumps over the lazy dog. " * 5
GREEDY = chat(PROMPT, max_tokens=60)
REQUESTS: list[dict[str, Any]] = [
    GREEDY,
    {**GREEDY, "temperature": 1.3, "seed": 11},
    {**GREEDY, "temperature": 0.8, "seed": 12, "top_p": 0.9, "repetition_penalty": 1.2, "frequency_penalty": 0.3},
    {**GREEDY, "temperature": 1.0, "seed": 13, "top_k": 40, "min_p": 0.02, "regex": "[a-z ]{30}[0-9]+"},
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = make_tiny_package(tmp_path_factory.mktemp("same") / "package", recipe="q4", layers=4)
    assert read_manifest(out).reproducible
    return out


def answers(daemon: Daemon) -> list[Any]:
    """Text and log-probabilities of every request, one after the other."""
    asked = [daemon.post("/v1/chat/completions", {**body, "logprobs": True, "top_logprobs": 3})[1] for body in REQUESTS]
    return [answer["choices"][0] for answer in asked]


def texts(streams: list[Stream]) -> list[str]:
    for stream in streams:
        stream.join(60)
        assert stream.error == ""
    return [stream.text for stream in streams]


def test_an_answer_depends_on_its_request_alone(package: Path, tmp_path: Path) -> None:
    with Daemon(package, tmp_path) as daemon:
        daemon.wait_ready()
        first = answers(daemon)
        expected = [choice["message"]["content"] for choice in first]
        assert len(set(expected)) == len(expected)
        assert answers(daemon) == first  # whose prompts are cached now
        others = [Stream(daemon, chat(f"{n} " * 50, temperature=1.0, max_tokens=80)) for n in range(6)]
        assert texts([Stream(daemon, body) for body in REQUESTS]) == expected
        texts(others)

        streams, pid = [Stream(daemon, body) for body in REQUESTS], daemon.engine_pid
        wait_until(lambda: any(stream.text for stream in streams))
        os.kill(pid, signal.SIGKILL)
        assert texts(streams) == expected


def test_threads_pages_and_steps_of_another_size_change_nothing(package: Path, tmp_path: Path) -> None:
    with Daemon(package, tmp_path) as daemon:
        daemon.wait_ready()
        expected = answers(daemon)
    otherwise = {"engine__threads": 3, "model__page_tokens": 48, "scheduler__step_tokens": 37, "model__context_length": 480}
    with Daemon(package, tmp_path, **otherwise) as daemon:
        daemon.wait_ready()
        assert answers(daemon) == expected


SUBJECTS = ("lighthouse", "river", "clockmaker", "garden", "mountain", "violin", "harbour", "forest")
STORIES = [
    chat(f"Tell me a story about a {subject}.", max_tokens=100, **sampling)
    for number, subject in enumerate(SUBJECTS)
    for sampling in ({}, {"temperature": 1.0, "seed": number})
]
"""Eight that are answered greedily, and the same eight drawn."""


@pytest.fixture(scope="session")
def alone(smollm2_q4: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What SmolLM2 answers to each story's request, whole and one after the other."""

    def ask(out: Path) -> None:
        with Daemon(smollm2_q4, tmp_path_factory.mktemp("alone"), engine__threads=2) as daemon:
            daemon.wait_ready()
            answers = [daemon.post("/v1/chat/completions", body)[1]["choices"][0] for body in STORIES]
        out.write_text(json.dumps([answer["message"]["content"] for answer in answers]))

    found: list[str] = json.loads(made_once(tmp_path_factory, "smollm2-alone.json", ask).read_text())
    assert len(set(found)) == len(STORIES)
    return found


def wait_in_the_middle(streams: list[Stream], former: list[int]) -> list[int]:
    """Until every stream has more characters than formerly and none is over; how many they have."""
    wait_until(lambda: all(len(stream.text) > count for stream, count in zip(streams, former, strict=True)), 60)
    assert not any(stream.reason for stream in streams)
    return [len(stream.text) for stream in streams]


def test_sixteen_streams_of_smollm2_tell_what_each_tells_alone(smollm2_q4: Path, tmp_path: Path, alone: list[str]) -> None:
    """Sixteen of sixteen: with prompts that were never seen before, and again whole with prompts that are cached."""
    with Daemon(smollm2_q4, tmp_path, engine__threads=2) as daemon:
        daemon.wait_ready()
        os.kill(daemon.engine_pid, signal.SIGSTOP)  # so that they meet
        streams = [Stream(daemon, body) for body in STORIES]
        wait_until(lambda: daemon.metric("youtu_edge_queue_depth") == len(STORIES))
        os.kill(daemon.engine_pid, signal.SIGCONT)
        assert texts(streams) == alone
        steps, tokens = (daemon.metric(f"youtu_edge_engine_{name}_total") for name in ("steps", "sequence_steps"))
        assert tokens / steps > 8
        for body, expected in list(zip(STORIES, alone, strict=True))[:4]:
            answer = daemon.post("/v1/chat/completions", body)[1]
            assert answer["choices"][0]["message"]["content"] == expected
            assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] > 0


def test_two_kills_of_the_engine_change_no_story(smollm2_q4: Path, tmp_path: Path, alone: list[str]) -> None:
    """Each time in the middle of all sixteen."""
    with Daemon(smollm2_q4, tmp_path, engine__threads=2) as daemon:
        daemon.wait_ready()
        streams, pid, said = [Stream(daemon, body) for body in STORIES], 0, [0] * len(STORIES)
        for _ in range(2):
            said = wait_in_the_middle(streams, said)
            pid = daemon.wait_engine_pid(pid)
            os.kill(pid, signal.SIGKILL)
        assert texts(streams) == alone
        assert daemon.metric("youtu_edge_engine_restarts_total") == 2


def test_durable_stories_are_the_same_after_everything_was_killed_twice(
    smollm2_q4: Path, tmp_path: Path, alone: list[str]
) -> None:
    """Front and engine die together; a client that returns with the key gets the beginning again, and then the rest."""
    said = [0] * len(STORIES)
    for life in range(3):
        with Daemon(smollm2_q4, tmp_path, storage__directory=tmp_path / "data") as daemon:
            daemon.wait_ready()
            streams = [Stream(daemon, body, **{"Idempotency-Key": f"story-{n}"}) for n, body in enumerate(STORIES)]
            if life < 2:
                said = wait_in_the_middle(streams, said)
                os.killpg(daemon.process.pid, signal.SIGKILL)
                daemon.process.wait(10)
            else:
                assert texts(streams) == alone
