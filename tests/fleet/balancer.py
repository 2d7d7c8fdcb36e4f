"""nginx or HAProxy with the file of config/fleet, on ports of this machine."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from fleet.boards import free_ports
from front.scripted_daemon import wait_until

FLEET = Path(__file__).parents[2] / "config" / "fleet"
PROGRAMS = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}


class Served(Protocol):
    """A daemon on a port of this machine."""

    port: int


def why_not(program: str) -> str:
    """Why it cannot be tested here; empty if it can."""
    return "" if shutil.which(program) else f"{program} is not installed (Debian: apt-get install {program})"


def adapted(program: str, text: str, boards: Sequence[Served], port: int, directory: Path) -> Path:
    """`text` with our addresses in place of the examples in the shipped file."""
    for number, board in enumerate(boards, 1):
        text, count = re.subn(rf"192\.168\.1\.1{number}:8080\b", f"127.0.0.1:{board.port}", text)
        assert count >= 3, "each board is in every list"
    for example, ours in ((r"(bind |listen )\S*8000\b", rf"\g<1>127.0.0.1:{port}"), ("/run/nginx.pid", f"{directory}/pid")):
        text = re.sub(example, ours, text)
    file = directory / PROGRAMS[program]
    file.write_text(text)
    return file


def arguments(program: str, file: Path) -> list[str]:
    """Of the program that stays in the foreground."""
    if program == "nginx":
        return ["nginx", "-p", str(file.parent), "-c", str(file), "-g", "daemon off;"]
    return ["haproxy", "-f", str(file)]


@contextlib.contextmanager
def balancer(program: str, boards: Sequence[Served], directory: Path) -> Iterator[int]:
    """Its port; it answers."""
    with running_balancer(program, (FLEET / PROGRAMS[program]).read_text(), boards, directory) as port:
        yield port


@contextlib.contextmanager
def running_balancer(program: str, text: str, boards: Sequence[Served], directory: Path) -> Iterator[int]:
    """As `balancer`, with a configuration of which `text` is the shipped form."""
    (port,) = free_ports(1)
    file = adapted(program, text, boards, port, directory)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(arguments(program, file), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or answers(port))
        assert process.poll() is None, (directory / "log").read_text()
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def answers(port: int) -> bool:
    """Whether a board answers through it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
