"""`youtu-edge plan`: the budget that it names is the one that a daemon needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon_process import Daemon, chat
from tiny_model import make_tiny_package
from youtu_edge.config import Config, MemoryConfig, ModelConfig
from youtu_edge.engine.memory.budget import least_budget, plan_memory

MIB = 1024 * 1024
SETTINGS = ("engine.threads=1",)  # as the daemon of the tests has it


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_package(tmp_path_factory.mktemp("plan") / "package", recipe="q4", context_length=4096)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a separate process, because it measures its own process."""
    command = [sys.executable, "-m", "youtu_edge", "plan", *arguments]
    for setting in SETTINGS:
        command += ["--set", setting]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def plan(package: Path, *arguments: str) -> dict[str, Any]:
    done = run(str(package), "--json", *arguments)
    assert not done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@given(
    model=st.integers(0, 1 << 33),
    step=st.integers(0, 1 << 28),
    page=st.integers(1, 1 << 24),
    page_tokens=st.sampled_from((16, 32, 64)),
    num_pages=st.integers(2, 5000),
    longest=st.integers(0, 200_000),
)
def test_the_budget_for_some_pages_leaves_exactly_those(
    model: int, step: int, page: int, page_tokens: int, num_pages: int, longest: int
) -> None:
    """And one byte less leaves fewer."""
    sizes = {"rest": model, "activations": step, "page_bytes": page, "grammar": 7, "text_tokens": longest}

    def pages(budget: int, most: int) -> int:
        config = Config(
            memory=MemoryConfig(limit=str(budget)), model=ModelConfig(page_tokens=page_tokens, kv_cache_max_page=most)
        )
        return plan_memory(config, weights=0, **sizes).num_pages

    budget = least_budget(Config(model=ModelConfig(page_tokens=page_tokens)), num_pages, **sizes)
    assert pages(budget, 10_000) == num_pages
    if num_pages > 2:
        assert pages(budget - 1, 10_000) == num_pages - 1


def check_against_a_daemon(package: Path, directory: Path, context: int, streams: int) -> None:
    """A daemon with the settings of a cell has the pages for it, and needs no more than was said, nor much less."""
    document = plan(package, "--context", str(context), "--streams", str(streams))
    [cell] = document["table"]
    settings = {f"{section}__{name}": value for section, keys in cell["settings"].items() for name, value in keys.items()}
    with Daemon(package, directory, **settings) as daemon:
        daemon.wait_ready()
        status = json.loads(daemon.get("/v1/status")[1])
        taken = status["memory"]["engine_plan_bytes"]
        page_bytes = document["requirements"]["page_bytes"]
        assert taken["cache"] == cell["pages"] * page_bytes == streams * -(-context // 32) * page_bytes
        used = sum(size for name, size in taken.items() if name != "budget")
        assert used <= taken["budget"]
        assert cell["budget"] <= taken["budget"] < cell["budget"] + MIB
        assert (
            taken["budget"] - used < 2 * document["requirements"]["reserve"]
        )  # what a process holds at rest varies by a few MB
        for part in ("front", "weights", "grammar"):
            assert taken[part] == document["requirements"][part]
        assert daemon.post("/v1/chat/completions", chat("hello", max_tokens=4))[0] == 200


def test_a_daemon_with_the_settings_has_room_for_the_streams(package: Path, tmp_path: Path) -> None:
    """The parts are those of its status, and what was said bounds what it takes."""
    check_against_a_daemon(package, tmp_path, 2048, 4)


def test_a_real_model_is_planned_as_well(smollm2_q4: Path, tmp_path: Path) -> None:
    check_against_a_daemon(smollm2_q4, tmp_path, 1024, 2)


def test_more_tokens_and_more_streams_need_more_and_the_largest_context_is_the_largest(package: Path) -> None:
    """A row of the table grows to the right, a column downwards; what is in the budget is marked, and the edge is exact."""
    document = plan(package, "--memory", "220M")
    rows: dict[int, list[dict[str, Any]]] = {}
    for cell in document["table"]:
        rows.setdefault(cell["context"], []).append(cell)
    assert list(rows) == [1024, 2048, 4096]
    for line in [*rows.values(), *zip(*rows.values(), strict=True)]:
        sizes = [cell["budget"] for cell in line]
        assert sizes == sorted(set(sizes))
        assert [cell["fits"] for cell in line] == [size <= 220 * MIB for size in sizes]
    largest = {int(streams): tokens for streams, tokens in document["largest_context"].items()}
    assert list(largest) == [1, 2, 4, 8, 16]
    assert list(largest.values()) == sorted(largest.values(), reverse=True)
    for streams, tokens in largest.items():
        if 0 < tokens < 4096:
            for context, fits in ((tokens, True), (tokens + 64, False)):
                assert plan_fits(package, context, streams) is fits


def plan_fits(package: Path, context: int, streams: int) -> bool:
    done = run(str(package), "--memory", "220M", "--context", str(context), "--streams", str(streams))
    verdict = "fits; settings for it:" if done.returncode == 0 else "does not fit: "
    assert f"\n{verdict}" in done.stdout
    return done.returncode == 0


def test_what_does_not_fit_is_in_brackets_and_the_exit_code_says_so(package: Path) -> None:
    done = run(str(package), "--memory", "100M")
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    [row] = [line for line in lines if line and line[0] == "1024"]
    assert all(word.startswith("(") for word in row[1:])
    assert ["largest", "in", "budget", *["0"] * 5] in lines


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--memory", "4X"], "--memory: '4X' is not a size; write a number with K, M, G or T"),
        (["--context", "0"], "--context: '0' is not a whole number of at least 1"),
        (["--streams", "many"], "--streams: 'many' is not a whole number of at least 1"),
        (["--context", "5000"], "model.context_length: 5000 is more than the 4096 tokens that this model was trained for"),
    ],
)
def test_a_mistake_is_one_line(package: Path, arguments: list[str], says: str) -> None:
    done = run(str(package), *arguments)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith(f"youtu-edge: {says}")
    assert done.stderr.count("\n") == 1


def test_what_is_no_package_is_one_line(package: Path, tmp_path: Path) -> None:
    """A directory that is not there, and one of which a file is missing."""
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in package.iterdir():
        if file.name != "weights.bin":
            os.link(file, broken / file.name)
    for path, says in ((tmp_path / "none", "no such directory"), (broken, "weights.bin: is missing")):
        done = run(str(path))
        assert (done.returncode, done.stdout) == (78, "")
        assert says in done.stderr
        assert done.stderr.count("\n") == 1


def test_nothing_is_left_behind(package: Path, tmp_path: Path) -> None:
    """It writes no file, neither where it runs nor beside the package."""
    before = sorted(package.rglob("*"))
    command = [sys.executable, "-m", "youtu_edge", "plan", str(package), "--set", "storage.directory=data"]
    subprocess.run(
        command, cwd=tmp_path, capture_output=True, check=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    )
    assert sorted(package.rglob("*")) == before
    assert not list(tmp_path.iterdir())
