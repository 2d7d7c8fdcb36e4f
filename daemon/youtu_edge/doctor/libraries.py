"""Python, the daemon's libraries, and the operator library with the instruction set that it selected."""

from __future__ import annotations

import json
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator

from youtu_edge import __version__
from youtu_edge.doctor.finding import Finding, fail, ok, warn
from youtu_edge.doctor.probe import OPERATORS
from youtu_edge.doctor.surroundings import Surroundings

_LEAST_PYTHON = (3, 11)
_TIMEOUT_S = 180.0
"""A cold SD card takes half a minute."""
_AGAIN = "install youtu-edge again, from wheels for this processor and this Python"


def examine(_: Surroundings) -> Iterator[Finding]:
    """Loads them in a child process: a library built for another processor may crash it."""
    python = f"youtu-edge {__version__}, Python {platform.python_version()}, {sys.executable}"
    if sys.version_info < _LEAST_PYTHON:
        yield fail(f"{python}: Python 3.11 or newer is needed; {_AGAIN}")
    else:
        yield ok(python)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "youtu_edge.doctor.probe"], capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        yield fail(f"the libraries were not loaded within {_TIMEOUT_S:.0f} s: check the disk (dmesg)")
        return
    except OSError as error:
        yield fail(f"cannot start a process: {error.strerror}; check `ulimit -a`, TasksMax= and free memory")
        return
    yield from _read(done)


def _read(done: subprocess.CompletedProcess[bytes]) -> Iterator[Finding]:
    states: dict[str, tuple[str, str]] = {}
    for text in done.stdout.decode(errors="replace").splitlines():
        if text.startswith('["'):  # libraries may print to stdout as well
            name, state, what = json.loads(text)
            states[name] = (state, what)
    versions = []
    for name, (state, what) in states.items():
        if state == "failed":
            yield fail(f"{name} cannot be loaded: {what}; {_hint(what)}")
        elif state == "begun":
            yield fail(f"{name} crashed the process that loaded it ({_end(done.returncode)}); {_AGAIN}")
        elif name == OPERATORS:
            yield _operators(what)
        elif what:
            versions.append(f"{name} {what}")
    if versions and done.returncode == 0:
        yield ok(", ".join(versions))
    if not states:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or _end(done.returncode)
        yield fail(f"no library could be loaded: {last}; {_hint(last)}")


def _operators(names: str) -> Finding:
    used, _, available = names.partition(";")
    if used == "portable":
        return warn(
            "portable operators: this processor has neither AVX2 nor the dot products of Armv8.2, so everything takes "
            "several times as long; use a newer board"
        )
    return ok(f"operators for {used} (this processor supports {available.replace(',', ', ')})")


def _hint(error: str) -> str:
    if "allocate memory" in error or "MemoryError" in error:
        return "a memory limit of this process is too low: see `ulimit -a`"
    return _AGAIN


def _end(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
