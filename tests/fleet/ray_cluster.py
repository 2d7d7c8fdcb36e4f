"""config/fleet/ray on a local cluster of two nodes, of which the second can be lost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.balancer import FLEET, answers
from fleet.boards import free_ports
from front.scripted_daemon import wait_until

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / "build" / "fleet"
PYTHON = ENVIRONMENT / "bin" / "python"


def is_installed() -> bool:
    """Whether `./scripts/ray-fleet` has come to its end."""
    return (ENVIRONMENT / ".installed").exists()


def node_environment() -> dict[str, str]:
    """node.env, with the path of this checkout."""
    lines = (FLEET / "ray" / "node.env").read_text().splitlines()
    shipped = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {**os.environ, **shipped, "PYTHONPATH": str(FLEET / "ray")}


def adapted(directory: Path, port: int) -> dict[str, Any]:
    """serve.yaml with our port and daemon, and a fleet that grows and shrinks within seconds."""
    document: dict[str, Any] = yaml.safe_load((FLEET / "ray" / "serve.yaml").read_text())
    document["http_options"]["port"] = port
    (application,) = document["applications"]
    (pids := directory / "replicas").mkdir()
    application["args"]["command"] = [sys.executable, str(ROOT / "tests" / "fleet" / "ray_daemon.py"), str(pids)]
    application["args"] |= {"storage": str(directory / "storage"), "boards_per_node": 2}
    (boards,) = (each for each in application["deployments"] if each["name"] == "boards")
    boards["autoscaling_config"] |= {
        "target_ongoing_requests": 2,
        "metrics_interval_s": 1,
        "look_back_period_s": 3,
        "upscale_delay_s": 2,
        "downscale_delay_s": 20,
    }
    return document


class Cluster:
    """Its nodes are `line-1`, which has the ingress and room for the boards `line-1` and `line-1-2`, and `line-2`."""

    def __init__(self, nodes: subprocess.Popen[str], directory: Path) -> None:
        (self.port,) = free_ports(1)
        self._nodes = nodes
        self._directory = directory
        self._lock = threading.Lock()
        self.address = self._line()
        if not self.address:  # none of ours has run yet: this machine lacks something, such as shared memory
            pytest.skip(f"Ray starts no nodes here: {(directory / 'log').read_text()[-1000:]}")

    def deploy(self) -> None:
        """Until the first board answers."""
        file = self._directory / "serve.yaml"
        file.write_text(yaml.safe_dump(adapted(self._directory, self.port)))
        serve = [str(PYTHON.with_name("serve")), "run", "--non-blocking", "--address", self.address, str(file)]
        done = subprocess.run(serve, env=node_environment(), capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        wait_until(lambda: answers(self.port), timeout=300)

    def boards(self) -> int:
        """How many run."""
        return int(self.ask("status"))

    def ask(self, command: str) -> str:
        """The answer of tests/fleet/ray_nodes.py, which explains the commands."""
        with self._lock:
            assert self._nodes.stdin is not None
            self._nodes.stdin.write(f"{command}\n")
            self._nodes.stdin.flush()
            return self._line()

    def replica(self, board: str) -> int:
        """The process id of a board's replica; 0 if it never had one."""
        file = self._directory / "replicas" / board
        return int(file.read_text() or 0) if file.exists() else 0

    def kill_replica(self, board: str) -> int:
        """SIGKILL; its process id."""
        pid = self.replica(board)
        os.kill(pid, signal.SIGKILL)
        return pid

    def _line(self) -> str:
        assert self._nodes.stdout is not None
        return self._nodes.stdout.readline().strip()


@contextlib.contextmanager
def cluster(directory: Path) -> Iterator[Cluster]:
    """Two nodes and one board, which answers."""
    # Ray's sockets have long names already, and a path of pytest would be too much.
    with (
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as temporary,
        (directory / "log").open("wb") as log,
    ):
        nodes = subprocess.Popen(
            [str(PYTHON), str(Path(__file__).with_name("ray_nodes.py")), temporary],
            env=node_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert nodes.stdin is not None
        assert nodes.stdout is not None
        try:
            started = Cluster(nodes, directory)
            started.deploy()
            yield started
        finally:
            nodes.stdin.close()
            nodes.wait(120)
            nodes.stdout.close()
