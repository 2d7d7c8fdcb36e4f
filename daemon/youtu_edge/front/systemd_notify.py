"""Notifies systemd of readiness, status and the watchdog; does nothing when systemd did not start the daemon."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from sdnotify import SystemdNotifier

_EXTENSION_S = 20
"""How much longer the start may take, counted from each request for more time."""


class SystemdNotify:
    """sd_notify(3), for Type=notify services with WatchdogSec=."""

    def __init__(self) -> None:
        self._notifier = SystemdNotifier()
        self._last_status = ""

    def ready(self) -> None:
        """The daemon serves requests."""
        self._notifier.notify("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        if text != self._last_status:
            self._last_status = text
            self._notifier.notify("STATUS=" + " ".join(text.split()))

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        # The time is what Type=notify-reload of newer systemd wants; older ones ignore it.
        self._notifier.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon drains and exits."""
        self._notifier.notify("STOPPING=1")

    async def keep_status_current(self, status: Callable[[], str], is_loading: Callable[[], bool]) -> None:
        """Refresh the status, and extend TimeoutStartSec= while the model is being loaded; never returns."""
        while True:
            if is_loading():
                self._notifier.notify(f"EXTEND_TIMEOUT_USEC={_EXTENSION_S * 1_000_000}")
            self.status(status())
            await asyncio.sleep(_EXTENSION_S / 4)

    async def watchdog(self, is_progressing: Callable[[], bool]) -> None:
        """Ping twice per WatchdogSec, but only while the engine makes progress. Returns at once without a watchdog."""
        # WATCHDOG_PID guards against a variable that a parent process leaked to us; see sd_watchdog_enabled(3).
        owner = os.environ.get("WATCHDOG_PID", "")
        interval_us = os.environ.get("WATCHDOG_USEC", "")
        if not interval_us.isdigit() or int(interval_us) == 0 or owner not in ("", str(os.getpid())):
            return
        while True:
            if is_progressing():
                self._notifier.notify("WATCHDOG=1")
            await asyncio.sleep(int(interval_us) / 2_000_000)
