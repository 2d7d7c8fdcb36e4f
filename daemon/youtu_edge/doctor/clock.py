"""The clock: not set, not synchronised, set back, or jumping right now.

The daemon measures time with the monotonic clock; certificates, hourly and daily quotas, and stored dates need the right
time of day.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from pathlib import Path

from youtu_edge.doctor.finding import Finding, fail, ok, warn
from youtu_edge.doctor.surroundings import Surroundings

_RELEASED_S = 1_767_225_600.0
"""2026-01-01: a correct clock cannot be earlier."""
_TIME_ERROR, _TIMEX_BYTES = 5, 256
_TOLERANCE_S = 120.0
_SET = "with a network, run `timedatectl set-ntp true`; without one, `date -s`, and fit a battery for the clock"


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """At most one line that is not "ok" for each problem."""
    now, drift = surroundings.now(), surroundings.drift()
    shown = f"{_date(now)} UTC"
    if now < _RELEASED_S:
        yield fail(f"the clock is not set, it reads {shown}: certificates, quotas and dates are wrong; {_SET}")
        return
    if abs(drift) > 1.0:
        yield warn(f"the clock jumped by {drift:+.0f} s during this check: two programs may set it; keep one")
    future = _newest(surroundings)
    if future and future[1] > now + _TOLERANCE_S:
        yield warn(
            f"{future[0]} is dated {_date(future[1])} UTC, later than now ({shown}): the clock was set back or is "
            f"wrong; {_SET}"
        )
        return
    synchronised = _is_synchronised()
    if synchronised is False:
        yield warn(f"{shown}, not synchronised: it drifts by seconds a day; {_SET}")
    else:
        yield ok(f"{shown}, synchronised" if synchronised else f"{shown}; whether it is synchronised is unknown here")


def _newest(surroundings: Surroundings) -> tuple[Path, float] | None:
    """Our most recently changed file; its time comes from this machine's clock."""
    config = surroundings.config
    files = [Path(config.service.keys_file), Path(config.model.path) / "manifest.json"]
    if config.storage.directory:
        files += Path(config.storage.directory).glob("*")
    found = []
    for path in files:
        try:
            found.append((path, path.stat().st_mtime))
        except OSError:
            continue
    return max(found, key=lambda one: one[1], default=None)


def _is_synchronised() -> bool | None:
    """The kernel's own status, see adjtimex(2). None where it may not be read, as in containers."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) if adjtimex else -1
    return None if state < 0 else state != _TIME_ERROR


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
