"""Conversations behind a balancer find their cached prefixes again: real engines on three boards, and on one."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon_process import Daemon
from fleet.balancer import PROGRAMS, balancer, why_not
from fleet.boards import NAMES
from fleet.clients import BOARD, Clients
from tiny_model import make_tiny_package

SESSIONS, TURNS = 12, 5


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of random weights with a context of 512 tokens."""
    return make_tiny_package(tmp_path_factory.mktemp("tiny") / "package", recipe="q4", context_length=512)


def hit_rate(port: int) -> float:
    """Of conversations with some turns each, four at a time: the share of prompt tokens that were cached."""
    clients = Clients(port)

    def conversation(name: int) -> tuple[int, int]:
        cached = prompt = 0
        board = ""
        for turn in range(TURNS):
            session = f"s{name}@{board}" if board else None
            body = {"prompt": f"What about part {turn} of machine {name}?", "session_id": session, "max_new_tokens": 12}
            with clients.ask("POST", "/chat", body, {BOARD: board} if board else {}) as answer:
                document = json.loads(answer.read())
                assert answer.status == 200, document
                assert board in ("", answer.headers[BOARD])
                board = answer.headers[BOARD]
            prompt += document["usage"]["prompt_tokens"]
            cached += document["usage"]["prompt_tokens_details"]["cached_tokens"]
        return cached, prompt

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(conversation, range(SESSIONS)))
    return sum(cached for cached, _ in found) / sum(prompt for _, prompt in found)


@pytest.mark.parametrize("program", PROGRAMS)
def test_conversations_reuse_their_prefixes_as_on_one_board(program: str, package: Path, tmp_path: Path) -> None:
    if reason := why_not(program):
        pytest.skip(reason)

    def board(name: str) -> Daemon:
        return Daemon(package, tmp_path, service__board=name, model__page_tokens=16, memory__limit="300M")

    with board("alone") as alone:
        alone.wait_ready()
        on_one = hit_rate(alone.port)
    with contextlib.ExitStack() as stack:
        three = [stack.enter_context(board(name)) for name in NAMES]
        for each in three:
            each.wait_ready()
        on_three = hit_rate(stack.enter_context(balancer(program, three, tmp_path)))
    print(f"\n{program}: {on_one:.3f} of the prompt tokens are cached on one board, {on_three:.3f} on three")
    assert on_one > 0.3
    assert abs(on_three - on_one) <= 0.05
