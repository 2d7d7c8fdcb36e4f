"""A container as `docker compose up` would run it, in runc: without a network, with the limits of compose.yaml."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from containers.bundle import make_config
from containers.compose import Service, read_compose
from containers.image import Image
from containers.published_port import PublishedPort
from daemon_process import Client
from systemd.machine import own_cgroup, wait_until

UID = 10001
_PORT = 8080
"""Of the daemon in the container; whether compose.yaml publishes it is tested there."""


class Container(Client):
    """Use as a context manager; the container runs inside the block and is removed at its end."""

    def __init__(
        self,
        image: Image,
        directory: Path,
        models: Path,
        *,
        command: tuple[str, ...] = (),
        own_cgroup_namespace: bool = True,
        emulated_cpu: str = "",
        environment: dict[str, str] | None = None,
        service: Service | None = None,
        **variables: str,
    ) -> None:
        """`variables` are those of compose.yaml, `command` is added to its command. `service`: of another file instead.

        With `emulated_cpu`, for qemu, nothing is shown in /sys: it would be that of this machine's processor, which ONNX
        Runtime takes for its own.
        """
        self.service = service or read_compose(**variables).services["youtu-edge"]
        self.service.command += command
        self.data = directory / "data"
        self.data.mkdir()
        os.chown(self.data, UID, UID)  # a new volume is a copy of the image's directory
        self._id = f"youtu-edge-test-{os.getpid()}-{time.monotonic_ns()}"
        self._cgroup = "/" + str(own_cgroup("memory").relative_to("/sys/fs/cgroup/memory") / self._id)
        config = make_config(
            image.config,
            self.service,
            rootfs=image.root,
            volumes={"/models": models, "/var/lib/youtu-edge": self.data},
            cgroup=self._cgroup,
            own_cgroup_namespace=own_cgroup_namespace,
            environment=environment or {},
        )
        if emulated_cpu:
            config["process"]["env"].append(f"QEMU_CPU={emulated_cpu}")
            config["mounts"] = [mount for mount in config["mounts"] if not mount["destination"].startswith("/sys")]
        self._bundle = directory / "bundle"
        self._bundle.mkdir()
        (self._bundle / "config.json").write_text(json.dumps(config))
        self._log_path = directory / "log"
        self._health: list[str] = image.config["Healthcheck"]["Test"]
        self._runc = ["runc", f"--root={directory / 'runc'}"]
        self._published: PublishedPort | None = None

    def __enter__(self) -> Container:
        pid_file = self._bundle / "pid"
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*self._runc, "run", f"--bundle={self._bundle}", f"--pid-file={pid_file}", self._id],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(lambda: self._ended() or (pid_file.exists() and pid_file.read_text()), 60, lambda: self.log)
            assert not self._ended(), self.log
            self.pid = int(pid_file.read_text())
            self._published = PublishedPort(self.pid, _PORT).__enter__()
            self.port = self._published.port
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Kill all processes in it."""
        subprocess.run([*self._runc, "delete", "--force", self._id], capture_output=True, check=False)
        self.process.wait(30)
        if self._published:
            self._published.__exit__(None, None, None)

    @property
    def log(self) -> str:
        """Its stdout and stderr so far."""
        return self._log_path.read_text(errors="replace")

    def run(self, *command: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """`docker exec`: another process in the container, as its user."""
        return subprocess.run(
            [*self._runc, "exec", self._id, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def check_health(self) -> subprocess.CompletedProcess[str]:
        """The health check of the image."""
        assert self._health[0] == "CMD"
        return self.run(*self._health[1:])

    def wait_healthy(self, timeout_s: float = 120) -> None:
        """Until the health check succeeds."""

        def is_healthy() -> bool:
            assert not self._ended(), f"the container ended with {self.process.returncode}:\n{self.log}"
            return self.check_health().returncode == 0

        wait_until(is_healthy, timeout_s, lambda: f"not healthy:\n{self.log}")

    def wait_ready(self, timeout_s: float = 120) -> None:
        """Until /readyz says 200."""

        def is_ready() -> bool:
            assert not self._ended(), f"the container ended with {self.process.returncode}:\n{self.log}"
            try:
                return self.get("/readyz")[0] == 200
            except OSError:
                return False

        wait_until(is_ready, timeout_s, lambda: f"not ready:\n{self.log}")

    def status(self) -> dict[str, Any]:
        """/v1/status."""
        document: dict[str, Any] = json.loads(self.get("/v1/status")[1])
        return document

    def engine_pid(self, *, other_than: int = 0) -> int:
        """Waits for an engine other than `other_than`; returns its process id outside the container."""
        found: list[int] = []

        def is_there() -> bool:
            for name in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                if b"youtu_edge.engine" in words and int(name) != other_than:
                    found.append(int(name))
            return bool(found)

        wait_until(is_there, 60, lambda: self.log)
        return found[0]

    def zombies(self) -> list[int]:
        """Processes that have ended and that the first one, whose children they are by now, has not reaped."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        states = {int(pid): Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in children}
        return [pid for pid, state in states.items() if state == "Z"]

    def stop(self) -> tuple[int, float]:
        """`docker stop`: the exit status, and the seconds until the exit."""
        begun = time.monotonic()
        subprocess.run([*self._runc, "kill", self._id, "TERM"], check=True)
        self.process.wait(30)
        return self.process.returncode, time.monotonic() - begun

    def _ended(self) -> bool:
        return self.process.poll() is not None
