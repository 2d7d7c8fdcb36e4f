"""How an engine process ended, and whether a request can be the cause."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Death:
    """How an engine ended that was not asked to stop."""

    reason: str
    may_be_a_request: bool
    """False if it was killed or stopped from outside: no prompt can send SIGKILL, but operators and tests do."""


def oom_kills(proc: Path = Path("/proc")) -> int:
    """How many processes the kernel's out-of-memory killer ended since boot, in this cgroup or any other; 0 if unknown."""
    try:
        found = re.search(r"^oom_kill (\d+)$", (proc / "vmstat").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def is_stopped(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process is stopped, by SIGSTOP or a debugger."""
    try:
        # The name in parentheses may contain anything; the state is the first field after it.
        return (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in "tT"
    except (OSError, IndexError):
        return False


def judge(code: int, *, overdue: str, was_stopped: bool, oom_kills: int) -> Death:
    """The end of an engine by its exit code, or minus the signal.

    overdue: why we killed it, "" if we did not. was_stopped: it was stopped by SIGSTOP then. oom_kills: how many
    processes the out-of-memory killer ended during its life.
    """
    if overdue:
        return Death(f"{overdue}, stopped from outside" if was_stopped else overdue, not was_stopped)
    if code == -signal.SIGKILL and oom_kills:
        return Death("signal SIGKILL (out of memory)", may_be_a_request=True)
    return Death(describe_exit(code), code not in (-signal.SIGKILL, -signal.SIGTERM))


def describe_exit(code: int) -> str:
    """ "exit code 78", "signal SIGSEGV"."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
    return f"signal {name} (from outside)" if name == "SIGKILL" else f"signal {name}"
