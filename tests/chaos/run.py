"""Run the daemon while everything around it fails: `chaos.run --seconds 300`. Exit code 0 if no answer was wrong.

A small model of 4 bits answers, greedily and drawn with seeds; a run without faults tells what the answers have to be. Then
clients of every kind ask while faults strike at random, and at the end every durable request must be finished exactly once,
every stored turn of every conversation be there, and every database be sound.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chaos.clients import WORDS, Client, Durable, Slow, Streaming, Talking, Vanishing, asked
from chaos.faults import Faults
from chaos.systemd_unit import ROOT, SystemdUnit
from chaos.unit import Unit
from systemd.machine import Machine, why_not
from tiny_model import make_tiny_package

TOKENS = 300
FAKETIME = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu/faketime/libfaketimeMT.so.1"


class ChaosError(AssertionError):
    """An invariant was violated."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--systemd", action="store_true", help="as a service of a booted systemd")
    parser.add_argument("--every", type=float, default=2.0, help="mean seconds between faults")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the file system is unmounted
    with tempfile.TemporaryDirectory(prefix="youtu-edge-chaos-") as directory:
        place = in_machine(Path(directory)) if options.systemd else on_this_machine(Path(directory))
        with place as here:
            return run(here, options.seconds, options.every, options.seed)


@dataclass(frozen=True)
class Place:
    """Where the daemon runs. Paths as the daemon sees them, and as we do."""

    files: Path
    """Package and clock."""
    files_here: Path
    disk: Path
    """For its storage."""
    disk_here: Path
    may_fill: bool
    start: Callable[[dict[str, object], dict[str, str]], Unit | SystemdUnit]


@contextlib.contextmanager
def on_this_machine(directory: Path) -> Iterator[Place]:
    """Under the stand-in for systemd."""
    with small_disk(directory) as disk:
        yield Place(directory, directory, disk or directory, disk or directory, disk is not None, partial(Unit, directory))


@contextlib.contextmanager
def in_machine(directory: Path) -> Iterator[Place]:
    """Under a booted systemd."""
    if reason := why_not():
        raise SystemExit(reason)
    with Machine(directory, {path: str(path) for path in {ROOT, Path(sys.prefix)}}) as machine:
        machine.run("mkdir", "/out/disk")
        machine.run("mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", "/out/disk")
        here = machine.root / "out/disk"
        yield Place(Path("/out"), machine.out, Path("/out/disk"), here, True, partial(SystemdUnit, machine))


def run(place: Place, seconds: float, every: float, seed: int) -> int:
    """Exit code."""
    chance = random.Random(seed)
    make_tiny_package(place.files_here / "package", recipe="q4", context_length=2048, layers=6)
    data = place.disk_here / "data"
    port = free_port()
    settings: dict[str, object] = {
        "model.path": place.files / "package", "service.port": port, "storage.directory": place.disk / "data",
        "response_cache.enabled": "true",
        "response_cache.ttl_s": 3,  # or the engine would have nothing to do once every prompt was answered
        "service.step_deadline_s": 2, "service.max_restart_rate": "100000/300",
        "memory.limit": "1G", "engine.threads": 1, "generation.max_new_tokens": TOKENS, "generation.temperature": 0,
        "service.log_level": "warning",
    }  # fmt: skip
    clock = place.files_here / "clock" if FAKETIME.exists() else None
    environment = {}
    if clock:
        clock.write_text("+0h\n")
        environment = {
            "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(place.files / "clock"),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",  # reading the file whenever the time is asked for takes most of the CPU
        }  # fmt: skip
    unit = place.start(settings, environment)
    unit.start()
    try:
        faults = Faults(unit, data, clock, chance, may_fill=place.may_fill)
        crowd, problems = ordeal(unit, faults, port, data, chance, seconds, every)
        report(unit, faults, crowd, problems, seconds, seed)
    except Exception:
        print(unit.log[-20000:], file=sys.stderr)
        raise
    finally:
        unit.kill()
    return 1 if problems else 0


def ordeal(
    unit: Unit | SystemdUnit, faults: Faults, port: int, data: Path, chance: random.Random, seconds: float, every: float
) -> tuple[list[Client], list[str]]:
    """Run the clients; raises ChaosError if one received a wrong answer."""
    wait_ready(port)
    prompts = [f"{chance.choice(WORDS)} and {chance.choice(WORDS)}: {chance.random()}" for _ in range(24)]
    answers = {prompt: ask(port, prompt) for prompt in prompts}
    crowd: list[Client] = [
        kind(port, prompts, answers.__getitem__, chance.getrandbits(32))
        for kind in (Streaming, Streaming, Slow, Vanishing, Durable, Durable, Durable, Talking)
    ]
    for client in crowd:
        client.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not any(client.problem for client in crowd):
        time.sleep(chance.expovariate(1 / every))
        faults.one()
    unit.signal_front("KILL")  # a daemon that started on a full disk keeps nothing until it starts again
    for client in crowd:
        client.stopping.set()
    for client in crowd:
        client.join(300)
    wait_ready(port)
    problems = [client.problem for client in crowd if client.problem]
    if not settles(lambda: json.loads(get(port, "/v1/status"))["unfinished_durable_requests"] == 0):
        problems.append("durable requests stay unfinished")
    problems += [f"{client.name} does not end" for client in crowd if client.is_alive()]
    problems += check_conversations(port, crowd)
    if (code := unit.stop()) != 0:
        problems.append(f"the daemon stopped with exit code {code}")
    with tempfile.TemporaryDirectory() as copies:  # SQLite opens nothing inside of another mount namespace
        problems += check_databases(shutil.copytree(data, Path(copies) / "data"), crowd)
    return crowd, problems


def report(
    unit: Unit | SystemdUnit, faults: Faults, crowd: list[Client], problems: list[str], seconds: float, seed: int
) -> None:
    print(f"{seconds:.0f} s, seed {seed}: {sum(faults.counts.values())} faults", dict(sorted(faults.counts.items())))
    print(unit.summary())
    for client in crowd:
        more = f", reconnections {client.reconnections}" if isinstance(client, Durable) else ""
        print(f"{type(client).__name__:<10} complete {client.done}, broken off {client.broken}{more}")
    if problems:
        print(unit.log[-20000:], file=sys.stderr)
    print("\n".join(f"WRONG: {problem}" for problem in problems) or "nothing wrong was told, nothing was lost")


def check_conversations(port: int, crowd: list[Client]) -> Iterator[str]:
    """Every turn whose end a client received is stored exactly once."""
    for client in crowd:
        if not isinstance(client, Talking):
            continue
        for name, turns in client.turns.items():
            document = json.loads(get(port, f"/v1/sessions/{name}"))
            said = [message["content"] for message in document["messages"] if message["role"] == "user"]
            for turn in turns:
                if said.count(turn) != 1:
                    yield f"session {name} has a turn {said.count(turn)} times"


def check_databases(data: Path, crowd: list[Client]) -> Iterator[str]:
    """Databases are intact, with one row and one end for every durable request."""
    for path in data.glob("*.db"):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if found != "ok":
                yield f"{path.name}: {found}"
    for path in data.glob("*.damaged"):
        if not path.name.startswith("response_cache"):
            yield f"{path.name} exists: a database was given up that nobody damaged"
    with contextlib.closing(sqlite3.connect(data / "requests.db")) as connection:
        ends = dict(
            connection.execute(
                "SELECT request.key, count(*) FROM request JOIN event ON event.request = request.number"
                " WHERE event.kind IN ('finished', 'failed') GROUP BY request.number"
            )
        )
        unfinished = connection.execute("SELECT count(*) FROM request WHERE ended IS NULL").fetchone()[0]
    if unfinished:
        yield f"{unfinished} durable requests are unfinished"
    for client in crowd:
        for key in client.keys if isinstance(client, Durable) else ():
            if (count := ends.get(f" /chat_stream {key}", 0)) > 1:
                yield f"request {key} ended {count} times"


@contextlib.contextmanager
def small_disk(directory: Path) -> Iterator[Path | None]:
    """A file system of 48 MB that may be filled; None without permission to mount."""
    disk = directory / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        data: bytes = answer.read()
        return data


def ask(port: int, prompt: str) -> str:
    """The whole answer."""
    body = json.dumps(asked(prompt)).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/chat", body, timeout=60) as answer:
        return str(json.loads(answer.read())["response"])


def settles(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def wait_ready(port: int, timeout_s: float = 90.0) -> None:
    end = time.monotonic() + timeout_s
    while True:
        try:
            get(port, "/readyz")
            return
        except OSError as error:
            if time.monotonic() > end:
                raise ChaosError(f"not ready after {timeout_s} s: {error}") from None
            time.sleep(0.1)


if __name__ == "__main__":
    raise SystemExit(main())
