"""Reloads the configuration of a running daemon: what applies at once, what needs a restart, what is rejected.

A file with an error changes nothing. Keys that need a restart keep their value, and are listed in the log and in
`systemctl status` until the file matches again or the daemon is restarted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from youtu_edge.config import Config
from youtu_edge.errors import ConfigError
from youtu_edge.log import line

log = logging.getLogger(__name__)

LIVE_KEYS = frozenset(
    {
        "service.max_body_bytes",
        "service.max_queue",
        "service.request_timeout_s",
        "service.load_deadline_s",
        "service.step_deadline_s",
        "service.drain_delay_s",
        "service.drain_s",
        "service.log_level",
        *(f"generation.{name}" for name in msgspec.structs.asdict(Config().generation)),
    }
)
"""Keys that `Reloader.on_change` applies; all others need a restart."""

UNIT_KEYS = frozenset({"service.drain_delay_s", "service.drain_s", "service.step_deadline_s"})
"""Live keys that the systemd unit depends on, too: `youtu-edge render-unit` has to be run again."""


class Merged(NamedTuple):
    """The configuration to use from now on, the keys applied in it, and those waiting for a restart."""

    config: Config
    applied: list[str]
    waiting: list[str]


def merge(now: Config, wanted: Config) -> Merged:
    """`now` with every live key of `wanted`."""
    applied, waiting, sections = [], [], {}
    for section in now.__struct_fields__:
        old, new = getattr(now, section), getattr(wanted, section)
        changed = {key for key in old.__struct_fields__ if getattr(old, key) != getattr(new, key)}
        live = {key for key in changed if f"{section}.{key}" in LIVE_KEYS}
        applied += sorted(f"{section}.{key}" for key in live)
        waiting += sorted(f"{section}.{key}" for key in changed - live)
        sections[section] = msgspec.structs.replace(old, **{key: getattr(new, key) for key in live})
    return Merged(Config(**sections), applied, waiting)


class Reloader:
    """`read` returns the configuration as written now, or raises ConfigError; None: reloads are not available."""

    def __init__(self, config: Config, read: Callable[[], Config] | None = None) -> None:
        self.config = config
        """The configuration in effect."""
        self._read = read
        self.on_change: list[Callable[[Config], None]] = []
        """Called with a configuration in which only LIVE_KEYS differ."""
        self.waiting: list[str] = []
        """Keys whose new value takes effect only after a restart."""

    @property
    def can_reload(self) -> bool:
        """Whether there is a file to read again."""
        return self._read is not None

    def reload(self) -> bool:
        """Apply what can be applied and log the result; False if the file was rejected."""
        if self._read is None:
            return False
        try:
            wanted = self._read()
        except ConfigError as error:
            for problem in error.message.splitlines():
                log.error(line("reload_refused", reason=problem, effect="the previous configuration stays in effect"))
            return False
        merged = merge(self.config, wanted)
        self.config, self.waiting = merged.config, merged.waiting
        for changed in self.on_change:
            changed(merged.config)
        log.info(
            line(
                "reloaded",
                applied=",".join(merged.applied) or "nothing",
                restart_needed=",".join(merged.waiting),
                render_unit_needed=",".join(key for key in merged.applied if key in UNIT_KEYS),
            )
        )
        return True
