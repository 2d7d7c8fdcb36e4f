"""Measures one real daemon, then three behind HAProxy, with an engine whose steps take a known time: no model is needed.

It is the scripted engine of the tests: a step takes 20 ms, 2 ms for each sequence, 100 us for each character of a prompt.
It waits and does not compute, so three such boards do not disturb each other on one machine. The simulation gets the costs
that are found on one board, and has to find what three of them do.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fleet_simulation.figures import quantile
from fleet_simulation.turns import Turn, turns

from fleet.balancer import balancer
from front.scripted_daemon import Daemon, running

_ENGINE = ("--sequence-ms", "2", "--prompt-us", "100")


class Times(NamedTuple):
    """Of one answer, in seconds since it was asked."""

    first_s: float
    whole_s: float


def ask(port: int, prompt: int, answer: int) -> Times:
    """One streamed answer."""
    text = f"slow repeat:{1 + answer // 20} ".ljust(prompt, "x")[: max(prompt, 20)]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    begun, first, count = time.perf_counter(), 0.0, 0
    try:
        connection.request("POST", "/chat_stream", json.dumps({"prompt": text, "max_new_tokens": answer}))
        for line in connection.getresponse():
            if line.startswith(b"data: ") and json.loads(line[6:]).get("text"):
                first = first or time.perf_counter() - begun
                count += 1
    finally:
        connection.close()
    if count != answer:
        raise RuntimeError(f"an answer of {answer} tokens came as {count}")
    return Times(first, time.perf_counter() - begun)


def one_board(port: int) -> dict[str, float]:
    """Costs of a board: the lines through the times of steps by sequences, and of first tokens by the length of prompts."""
    tokens, sequences = 60, (1, 2, 4, 8, 12)
    steps = [_median_step(port, count, tokens) for count in sequences]
    sequence_s, step_s = statistics.linear_regression(sequences, steps)
    lengths = [length for length in (40, 400, 1000, 2000) for _ in range(6)]
    prompt_s, rest = statistics.linear_regression(lengths, [ask(port, length, 2).first_s for length in lengths])
    return {
        "step_s": step_s,
        "sequence_s": sequence_s,
        "prompt_s": prompt_s,
        "overhead_s": max(0.0, rest - step_s - sequence_s),
    }


def _median_step(port: int, count: int, tokens: int) -> float:
    found: list[float] = []

    def client() -> None:
        times = ask(port, 40, tokens)
        found.append((times.whole_s - times.first_s) / (tokens - 1))

    for _ in range(2):
        _together([client] * count)
    return statistics.median(found)


def many_boards(port: int, clients: Sequence[Sequence[Turn]]) -> dict[str, float]:
    """The closed loop of `clients` against a balancer."""
    times: list[Times] = []

    def client(mine: Sequence[Turn]) -> None:
        for turn in mine:
            time.sleep(turn.pause_s)
            times.append(ask(port, turn.prompt, turn.answer))

    begun = time.perf_counter()
    _together([lambda mine=mine: client(mine) for mine in clients])
    seconds = time.perf_counter() - begun
    return {
        "requests_per_s": len(times) / seconds,
        **{f"first_p{share}_s": quantile([each.first_s for each in times], share / 100) for share in (50, 95)},
        **{f"whole_p{share}_s": quantile([each.whole_s for each in times], share / 100) for share in (50, 95)},
    }


def _together(work: Sequence[Any]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextlib.contextmanager
def _boards(count: int, directory: Path) -> Iterator[list[Daemon]]:
    with contextlib.ExitStack() as stack:
        settings = ("storage.synchronous=normal", "service.trusted_proxies=[127.0.0.1]")
        boards = [
            stack.enter_context(running(f"service.board=line-{number}", *settings, engine=_ENGINE))
            for number in range(1, count + 1)
        ]
        for board in boards:
            board.wait_ready()
        yield boards


def measure(seed: int) -> dict[str, Any]:
    """Costs of one board, and the figures of three."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with _boards(3, directory) as boards, balancer("haproxy", boards, directory) as port:
            costs = one_board(boards[0].port)
            figures = many_boards(port, turns(seed))
    return {"seed": seed, "load_average": round(os.getloadavg()[0], 1), "one_board": costs, "three_boards": figures}
