"""A child process that cannot harm the system: bounded memory, low priority, first choice of the OOM killer, killed when
its parent dies."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOW_PRIORITY = 10


@contextlib.contextmanager
def limited_process(argv: Sequence[str], memory_bytes: int, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run `argv` with at most `memory_bytes` of private memory (RLIMIT_DATA); it is killed when the block ends.

    `options` are Popen's. Raises OSError when it cannot be started.
    """
    libc = ctypes.CDLL(None)

    def restrict() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.nice(_LOW_PRIORITY)
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file of a model can fill the disk
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")

    # This program has no second thread here, so the child may run Python before exec.
    process = subprocess.Popen(argv, preexec_fn=restrict, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
