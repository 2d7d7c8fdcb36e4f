"""Process limits that are too low: one line names the limit and what is needed, at each stage of the start."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1024 * 1024


def start(package: Path, limit: int, mib: int, *settings: str) -> tuple[int, str]:
    """Exit code (0: it got ready, and was stopped) and output of a daemon that may have so much memory."""
    command = [sys.executable, "-m", "youtu_edge", "serve"]
    values = {
        "model.path": package,
        "service.port": 0,
        "engine.threads": 1,
        "memory.limit": "1G",
        "storage.directory": "''",
        "service.max_restart_rate": "1/300",
    }
    for setting in (*(f"{key}={value}" for key, value in values.items()), *settings):
        command += ["--set", setting]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: resource.setrlimit(limit, (mib * MIB, mib * MIB)),
        text=True,
    ) as process:
        said = ""
        assert process.stdout
        for line in process.stdout:
            said += line
            if " engine_ready " in line:
                process.terminate()
        return process.wait(), said


@pytest.mark.parametrize(
    ("limit", "name", "sizes"),
    [
        (resource.RLIMIT_DATA, "RLIMIT_DATA", (85, 108, 130, 400)),
        (resource.RLIMIT_AS, "RLIMIT_AS", (100, 275, 2000)),
    ],
)
def test_too_little_memory_is_one_line_with_the_limit_and_no_traceback(
    tiny_package: Path, limit: int, name: str, sizes: tuple[int, ...]
) -> None:
    """From a limit that holds not even the front, over the engine's libraries, session and cache, to one that is enough."""
    codes = []
    for mib in sizes:
        code, said = start(tiny_package, limit, mib)
        codes.append(code)
        assert "Traceback" not in said, f"{mib} MiB:\n{said}"
        if code != 0:
            last = said.splitlines()[-1]
            assert last.startswith("youtu-edge: "), f"{mib} MiB:\n{said}"
            assert name in last
            assert f" {mib} MiB" in last
            assert "LimitDATA=" in last or "LimitAS=" in last
    assert codes[0] == 78
    assert set(codes[1:-1]) <= {0, 70, 78}
    assert codes[-1] == 0


def test_what_the_front_needs_is_told_before_anything_is_imported(tiny_package: Path) -> None:
    code, said = start(tiny_package, resource.RLIMIT_DATA, 16)
    assert code == 78
    assert said == (
        "youtu-edge: the front needs 72 MiB of memory as RLIMIT_DATA counts it, but that limit is 16 MiB; "
        "raise it (LimitDATA= of the unit, ulimit -d)\n"
    )


def test_a_cache_that_does_not_fit_is_told_before_it_is_mapped(tiny_package: Path) -> None:
    """The plan of the memory is compared with the limit; here the cache alone takes 640 MB."""
    code, said = start(tiny_package, resource.RLIMIT_DATA, 400, "model.kv_cache_max_page=65536")
    assert code == 78
    assert re.search(
        r"youtu-edge: the engine with the cache set by memory.limit and model.kv_cache_max_page needs [0-9]+ MiB "
        r"of memory as RLIMIT_DATA counts it, but that limit is 400 MiB; raise it \(LimitDATA= of the unit, ulimit -d\)\n$",
        said,
    )
