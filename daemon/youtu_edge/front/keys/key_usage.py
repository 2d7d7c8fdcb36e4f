"""The usage of each key: concurrent requests, and tokens per hour and day.

A window opens with the first token charged and lasts an hour or a day. Tokens are charged when a request ends, so the one
that crosses the limit is still served whole. The figures are stored in a file beside the keys; what was charged in the
last seconds before a power cut is lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from youtu_edge.encoding import json_bytes
from youtu_edge.errors import ConcurrencyError, QuotaError
from youtu_edge.front.keys.api_keys import ApiKey
from youtu_edge.log import line

log = logging.getLogger(__name__)

SAVE_INTERVAL_S = 5.0
_WINDOWS = {"tokens_per_hour": 3600, "tokens_per_day": 86400}


class Window(msgspec.Struct):
    """Tokens charged since `since`, unix time in seconds."""

    since: float
    tokens: int


class KeyUsage:
    """The usage of all keys, by name. `clock` is the wall clock: windows outlive the process."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._open: Counter[str] = Counter()
        self._windows: dict[str, dict[str, Window]] = self._load()
        self._is_dirty = False
        self._is_failing = False

    def check(self, key: ApiKey) -> None:
        """Raises ConcurrencyError or QuotaError when the key may not start another request now."""
        if key.max_concurrent and self._open[key.name] >= key.max_concurrent:
            raise ConcurrencyError(
                f"the key {key.name!r} has {key.max_concurrent} unfinished requests, which is its limit; try again later"
            )
        for name, length in _WINDOWS.items():
            limit = getattr(key, name)
            window = self._current(key.name, name)
            if limit and window is not None and window.tokens >= limit:
                left = max(1, round(window.since + length - self._clock()))
                raise QuotaError(
                    f"the key {key.name!r} has used its {name} of {limit} ({window.tokens} tokens)", retry_after_s=left
                )

    def begin(self, name: str) -> None:
        """A request of this key was admitted."""
        self._open[name] += 1

    def end(self, name: str, tokens: int) -> None:
        """A request that `begin` counted has ended and used so many tokens, prompt and answer."""
        self._open[name] -= 1
        if not self._open[name]:
            del self._open[name]
        if tokens:
            for kind in _WINDOWS:
                window = self._current(name, kind)
                if window is None:
                    window = self._windows.setdefault(name, {})[kind] = Window(self._clock(), 0)
                window.tokens += tokens
            self._is_dirty = True

    def used(self, name: str) -> dict[str, int]:
        """Tokens of the current windows."""
        return {kind: window.tokens if (window := self._current(name, kind)) else 0 for kind in _WINDOWS}

    async def keep_saved(self) -> None:
        """Save changes every few seconds; never returns."""
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            self.save()

    def save(self) -> None:
        """Write the file if anything changed. A failed write is logged: it loses figures, not the service."""
        if not self._is_dirty:
            return
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            fresh.write_bytes(json_bytes(self._windows))
            os.replace(fresh, self._path)
            self._is_dirty = self._is_failing = False
        except OSError as error:
            if self._is_failing:
                return  # already logged
            self._is_failing = True
            log.warning(line("key_usage_not_saved", file=self._path, reason=error.strerror))

    def _load(self) -> dict[str, dict[str, Window]]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, dict[str, Window]])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning(line("key_usage_unreadable", file=self._path, reason=str(error), effect="counted from zero"))
            return {}

    def _current(self, name: str, kind: str) -> Window | None:
        """The current window. One that began in the future is invalid: it was written before the clock was set."""
        window = self._windows.get(name, {}).get(kind)
        if window is None or not 0 <= self._clock() - window.since < _WINDOWS[kind]:
            return None
        return window
