"""One line per event: `time level event key=value …`, readable at 3 a.m. and by grep."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable

_PLAIN = re.compile(r"[\w.,:/+@%()\[\]-]+", re.ASCII)


_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""syslog priorities, so that `journalctl -p warning` finds what matters."""


class RateLimit(logging.Filter):
    """At most `most` warnings and errors of one kind within `period_s`; the first one after says how many were dropped.

    The kind is the first word of a message, which is its event. However often a client can trigger an error, the log stays
    readable and the disk does not fill up.
    """

    def __init__(self, most: int = 20, period_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most = most
        self._period_s = period_s
        self._clock = clock
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}
        """By logger and first word: when the period began, and the number of messages since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one is written."""
        if record.levelno < logging.WARNING:
            return True
        kind = (record.name, str(record.msg).partition(" ")[0][:60])
        now = self._clock()
        begun, count = self._kinds.get(kind, (now, 0))
        if now - begun < self._period_s:
            self._kinds[kind] = (begun, count + 1)
            return count < self._most
        self._kinds[kind] = (now, 1)
        if count > self._most:
            record.msg, record.args = f"{record.getMessage()} left_out={count - self._most}", ()
        return True


class _JournalFormatter(logging.Formatter):
    """`<priority>` before every line; the journal adds the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return prefix + super().format(record).replace("\n", f"\n{prefix}")


def _is_journal(descriptor: int) -> bool:
    """Whether systemd connected this descriptor to its journal; see JOURNAL_STREAM in systemd.exec(5)."""
    found = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def configure(level: str) -> None:
    """Send the log to stderr, which systemd's journal collects. `level`: see service.log_level."""
    handler = logging.StreamHandler(sys.stderr)
    if _is_journal(sys.stderr.fileno()):
        handler.setFormatter(_JournalFormatter("%(levelname)-7s %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(RateLimit())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        # It logs a traceback for every client that sends garbage or disconnects; front.http.error_body logs handler errors.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def line(event: str, **fields: object) -> str:
    """`event key=value …`; empty fields are left out and odd values quoted, so that no client can forge a line."""
    parts = [event]
    for key, value in fields.items():
        if value is None or value == "":
            continue
        text = f"{value:.3f}" if isinstance(value, float) else str(value)
        parts.append(f"{key}={text if _PLAIN.fullmatch(text) else json.dumps(text[:500])}")
    return " ".join(parts)
