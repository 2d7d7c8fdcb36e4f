"""`youtu-edge fleet status`: many daemons in one table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from front.command import Terminal, youtu_edge
from front.keys_command import add
from front.scripted_daemon import Daemon, running
from youtu_edge.cli.fleet_table import BoardAnswer, table

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def two() -> Iterator[list[Daemon]]:
    with running("service.board=line-1") as one, running("service.board=line-2") as other:
        for daemon in (one, other):
            daemon.wait_ready()
        yield [one, other]


def url(daemon: Daemon) -> str:
    return f"http://127.0.0.1:{daemon.port}"


def cells(line: str) -> list[str]:
    return re.split(r"  +", line.strip())


def test_each_board_has_a_line_in_the_order_of_the_arguments(two: list[Daemon]) -> None:
    done = youtu_edge("fleet", "status", url(two[1]), url(two[0]))
    assert (done.returncode, done.stderr) == (0, "")
    titles, first, second, *rest = done.stdout.splitlines()
    assert cells(titles) == ["BOARD", "STATE", "OPEN", "RUNNING", "PAGES FREE", "MODEL", "UP", "URL"]
    assert cells(first)[:6] == ["line-2", "ready", "0", "0", "100 %", "scripted"]
    assert cells(second)[0] == "line-1"
    assert cells(second)[-1] == url(two[0])
    assert rest == ["", "2 boards: 2 ready, 0 without an answer, 0 open requests"]


def test_a_file_has_a_url_on_each_line(two: list[Daemon], tmp_path: Path) -> None:
    file = tmp_path / "boards"
    file.write_text(f"# hall 3\n{url(two[0])}   # the left one\n\n{url(two[1])}\n")
    done = youtu_edge("fleet", "status", str(file))
    assert [cells(line)[0] for line in done.stdout.splitlines()[1:3]] == ["line-1", "line-2"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# none\n", "no board is in it; write one URL per line, such as http://192.168.1.11:8080"),
        ("http://a b\n", "'http://a b' is not a URL; write one per line, such as http://192.168.1.11:8080"),
    ],
)
def test_a_file_without_urls_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "boards").write_text(text)
    done = youtu_edge("fleet", "status", str(tmp_path / "boards"))
    assert (done.returncode, done.stderr) == (1, f"youtu-edge: {tmp_path}/boards: {problem}\n")


def test_a_file_that_is_not_there_is_not_taken_for_a_host() -> None:
    done = youtu_edge("fleet", "status", "boards.txt")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "youtu-edge: boards.txt: no such file, and not a URL, such as http://192.168.1.11:8080\n"


def test_boards_that_are_away_are_lines_too(two: list[Daemon]) -> None:
    done = youtu_edge("fleet", "status", url(two[0]), NOBODY)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert cells(lines[2]) == ["?", "no answer", NOBODY]
    assert lines[4].startswith(f"{NOBODY}: no answer from {NOBODY}: ")
    assert lines[-1] == "2 boards: 1 ready, 1 without an answer, 0 open requests"
    assert youtu_edge("fleet", "status", NOBODY).returncode == 69


def test_a_board_that_rejects_requests_says_why() -> None:
    with running(engine=("--never-ready",)) as loading:
        done = youtu_edge("fleet", "status", url(loading))
        loading.kill_engine()  # it would outlive the daemon
    assert done.returncode == 1
    assert cells(done.stdout.splitlines()[1])[1] == "loading"
    assert done.stdout.splitlines()[-1].startswith("1 board: 0 ready")


def test_json_has_every_answer_whole(two: list[Daemon]) -> None:
    done = youtu_edge("fleet", "status", "--json", url(two[0]), NOBODY)
    first, second = json.loads(done.stdout)
    assert (first["url"], first["board"], first["error"]) == (url(two[0]), "line-1", None)
    assert first["status"].keys() == two[0].status().keys()
    assert (second["board"], second["status"]) == (None, None)
    assert second["error"].startswith("no answer from")


def test_one_key_opens_all_boards(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(add(tmp_path, "watcher", "--scopes", "metrics"))
    with running(f"service.keys_file={tmp_path}/keys.json", "service.board=line-1") as guarded:
        guarded.wait_ready()
        assert "API key" in youtu_edge("fleet", "status", url(guarded)).stdout
        done = youtu_edge("fleet", "status", "--key-file", f"{tmp_path}/key", url(guarded))
        assert done.returncode == 0


def test_boards_with_one_name_are_noticed() -> None:
    document = {"version": "1", "state": "ready", "accepting": True, "engine": {}, "uptime_s": 1}
    answers = [BoardAnswer(f"http://10.0.0.{number}", "line-1", document, "") for number in (1, 2)]
    assert "line-1: 2 boards have this name; give each its own service.board" in table(answers)


def test_tokens_per_second_are_those_between_two_answers() -> None:
    def answer(seconds: float, tokens: int) -> list[BoardAnswer]:
        engine = {"decode_tokens": tokens, "prefill_tokens": 0}
        document = {"version": "1", "state": "ready", "accepting": True, "engine": engine, "uptime_s": seconds}
        return [BoardAnswer("http://10.0.0.1", "line-1", document, "")]

    lines = table(answer(12.0, 150), answer(10.0, 100))
    assert "TOKENS/S" in lines[0]
    assert "25.0" in cells(lines[1])
    assert lines[-1].endswith(", 25.0 tokens/s")


def test_text_of_a_board_cannot_steer_the_terminal() -> None:
    document = {"version": "1", "state": "\x1b[2Jready", "accepting": {"message": "a\nb"}, "engine": {}, "uptime_s": 1}
    for line in table([BoardAnswer("http://10.0.0.1", "line\x1b-1", document, "")]):
        assert line.isprintable()


def test_watch_goes_on_until_it_is_stopped(two: list[Daemon]) -> None:
    terminal = Terminal("fleet", "status", "--watch", "0.1", url(two[0]), url(two[1]))
    for _ in range(3):
        terminal.read_until("2 boards: 2 ready")
    terminal.write("\x03")
    assert terminal.wait() == 0


def test_the_name_of_the_board_is_a_label_in_the_metrics(two: list[Daemon]) -> None:
    for daemon, name in zip(two, ("line-1", "line-2"), strict=True):
        text = daemon.request("GET", "/metrics")[2].decode()
        assert f'youtu_edge_board_info{{board="{name}"}} 1.0' in text
