"""Runs a function in a separate process with limits of memory and time, and reports its end as a user would see it.

The process is forked, so that a hundred runs cost one import of the exporter; what it took is what the kernel counted.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NoReturn

ADDRESS_SPACE = 6 << 30  # bytes; ends what would take the whole machine, the bound that is judged is RSS
_PATIENCE = 10
_ACCOMPANYING = ("layer ", "youtu-export: warning: ")
_LARGEST_FILE = 1 << 30


@dataclass(frozen=True)
class Ended:
    """How a run ended. `signal` is 0 for one that returned `code`; `trace` is the traceback of what it raised."""

    code: int
    signal: int
    stderr: str
    trace: str
    rss_bytes: int
    seconds: float
    """Of the processor."""

    def lines(self) -> list[str]:
        """Of standard error, without progress and warnings, which may accompany a success."""
        return [line for line in self.stderr.split("\n") if line and not line.startswith(_ACCOMPANYING)]


def run_bounded(function: Callable[[], int], deadline_s: int) -> Ended:
    """Call `function`, which returns an exit code, in a child that is killed as in `run_command`."""
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as trace:
        child = os.fork()
        if child == 0:
            _run(function, deadline_s, errors.fileno(), trace.fileno())
        _, status, usage = os.wait4(child, 0)
        errors.seek(0)
        trace.seek(0)
        return Ended(
            code=os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else -1,
            signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            stderr=errors.read().decode(errors="replace"),
            trace=trace.read().decode(errors="replace"),
            rss_bytes=usage.ru_maxrss * 1024,
            seconds=usage.ru_utime + usage.ru_stime,
        )


def run_command(argv: Sequence[str], deadline_s: int) -> Ended:
    """A program, killed when it has used the processor for so long, or waited ten times as long.

    A small process starts it: the kernel counts what its parent held as its own.
    """
    done = subprocess.run([sys.executable, __file__, str(deadline_s), *argv], stdout=subprocess.PIPE, check=True)
    ended = Ended(**json.loads(done.stdout))
    return replace(ended, trace=ended.stderr if "Traceback (most recent" in ended.stderr else "")


def _limits(deadline_s: int) -> list[tuple[int, int]]:
    # What counts is the processor's time, as others run beside it; who waits for something uses none.
    return [
        (resource.RLIMIT_CPU, deadline_s),
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_FSIZE, _LARGEST_FILE),
        (resource.RLIMIT_CORE, 0),
    ]


def _run(function: Callable[[], int], deadline_s: int, errors: int, trace: int) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_PATIENCE * deadline_s)
        for limit, value in _limits(deadline_s):
            resource.setrlimit(limit, (value, value))
        os.dup2(errors, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        code = function()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # a Rust panic is a BaseException
        os.write(trace, traceback.format_exc().encode(errors="replace"))
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    print(json.dumps(asdict(run_bounded(lambda: os.execv(sys.argv[2], sys.argv[2:]), int(sys.argv[1])))))
