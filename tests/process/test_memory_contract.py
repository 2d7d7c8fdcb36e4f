"""The daemon stays within its memory budget, the kernel enforces it, and unused memory is returned."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from daemon_process import Daemon, Stream, chat
from front.scripted_daemon import wait_until

ROOT = Path(__file__).parents[2]


def test_under_a_hard_limit_nothing_fails_and_the_memory_comes_back(tiny_package: Path) -> None:
    """The short form of scripts/soak: 80 requests of random sizes, 8 at once, with memory for the budget and 64 MB."""
    quick = ["memory.return_after_s=1", "memory.keep_prefixes_s=2"]
    command = [sys.executable, str(ROOT / "scripts/soak"), str(tiny_package), "--budget", "200M", "--requests", "80"]
    for setting in quick:
        command += ["--set", setting]
    done = subprocess.run([*command, "--quiet", "8"], capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert result["broken"] == [], result
    assert result["failed"] == []
    assert done.returncode == 0


def test_the_kernel_holds_the_engine_to_the_plan(daemon: Daemon) -> None:
    """RLIMIT_DATA leaves what the plan leaves, and the plan is what the status shows and no more than the budget."""
    plan = json.loads(daemon.get("/v1/status")[1])["memory"]["engine_plan_bytes"]
    assert sum(size for name, size in plan.items() if name != "budget") <= plan["budget"] == 2 << 30
    limits = Path(f"/proc/{daemon.engine_pid}/limits").read_text()
    found = re.search(r"Max data size\s+(\d+)", limits)
    assert found, limits
    status = Path(f"/proc/{daemon.engine_pid}/status").read_text()
    data = int(re.findall(r"VmData:\s+(\d+) kB", status)[0]) * 1024
    assert data <= int(found.group(1)) <= data + plan["budget"]
    for part, size in plan.items():
        assert daemon.metric(f"youtu_edge_memory_{part}_bytes") == size


def test_prefixes_stay_until_the_engine_was_quiet_for_their_time(tiny_package: Path, tmp_path: Path) -> None:
    """A repeated prompt is found after a short pause, and computed again when keep_prefixes_s is over."""
    settings = {"memory__return_after_s": 0.1, "memory__keep_prefixes_s": 2.0}
    with Daemon(tiny_package, tmp_path, **settings) as daemon:
        daemon.wait_ready()
        body = chat("x" * 300, max_tokens=2)

        def cached() -> int:
            usage = daemon.post("/v1/chat/completions", body)[1]["usage"]
            return int(usage["prompt_tokens_details"]["cached_tokens"])

        assert cached() == 0
        assert cached() > 300
        while daemon.metric("youtu_edge_cache_pages_in_memory"):
            os.sched_yield()
        assert cached() == 0


def test_a_prefix_that_was_given_back_is_never_read(tiny_package: Path, tmp_path: Path) -> None:
    """Answers stay the same however often memory is returned between them."""
    settings = {"memory__return_after_s": 0.01, "memory__keep_prefixes_s": 0.01}
    bodies = [chat(f"{index} " * 40, max_tokens=60) for index in range(4)]
    with Daemon(tiny_package, tmp_path) as daemon:
        daemon.wait_ready()
        expected = [daemon.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"] for body in bodies]
    with Daemon(tiny_package, tmp_path, **settings) as daemon:
        daemon.wait_ready()
        for _ in range(3):
            returned = daemon.log.count("memory_returned")
            streams = [Stream(daemon, body) for body in bodies]
            for stream in streams:
                stream.join(60)
            assert [stream.text for stream in streams] == expected
            wait_until(lambda before=returned: daemon.log.count("memory_returned") > before)  # type: ignore[misc]
