"""The clock: not set, not synchronised, set back, or jumping just now.

The daemon measures with the monotonic clock; what needs the right time are certificates, quotas by hour and day, and
dates in what it stores.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from pathlib import Path

from youtu_edge.doctor.finding import Finding, fail, ok, warn
from youtu_edge.doctor.surroundings import Surroundings

_RELEASED_S = 1_767_225_600.0
"""2026-01-01: no clock that is right shows less."""
_TIME_ERROR, _TIMEX_BYTES = 5, 256
_TOLERANCE_S = 120.0
_SET = "`timedatectl set-ntp true` with a network, or `date -s` and a battery for the clock without"


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """At most one line that is not "ok" for each sickness."""
    now, drift = surroundings.now(), surroundings.drift()
    shown = f"{_date(now)} UTC"
    if now < _RELEASED_S:
        yield fail(f"the clock is not set, it says {shown}: certificates, quotas and dates are wrong; {_SET}")
        return
    if abs(drift) > 1.0:
        yield warn(f"the clock was set by {drift:+.0f} s while this ran: two programs may be setting it; keep one of them")
    future = _newest(surroundings)
    if future and future[1] > now + _TOLERANCE_S:
        yield warn(
            f"{future[0]} is of {_date(future[1])} UTC, after now ({shown}): the clock was set back, or is wrong; {_SET}"
        )
        return
    synchronised = _is_synchronised()
    if synchronised is False:
        yield warn(f"{shown}, not synchronised: it will be off by seconds a day; {_SET}")
    else:
        yield ok(f"{shown}, synchronised" if synchronised else f"{shown}; whether it is synchronised cannot be told here")


def _newest(surroundings: Surroundings) -> tuple[Path, float] | None:
    """The file of ours that was changed last; times come from the clock of this machine."""
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
    """What the kernel was told by whoever keeps the time; see adjtimex(2). None where we may not ask, as in containers."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) if adjtimex else -1
    return None if state < 0 else state != _TIME_ERROR


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
