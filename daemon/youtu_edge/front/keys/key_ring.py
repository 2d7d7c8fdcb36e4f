"""The keys that are valid now: reads their file again whenever it changed. Knows no HTTP.

Once a file of keys was seen, keys are needed until the daemon ends: a file that vanished or was damaged locks the door, it
does not open it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from youtu_edge.errors import ConfigError
from youtu_edge.front.keys.api_keys import ApiKey, find_key, read_keys
from youtu_edge.log import line

log = logging.getLogger(__name__)


class KeyRing:
    """Looks at the file's times on every question, so that a key works, and stops working, at once."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError when there is a file that cannot be used."""
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._keys: tuple[ApiKey, ...] = ()
        self.is_required = False
        """Whether every request must bring a key."""
        if (found := self._stamp()) is not None:
            self._keys, self._seen, self.is_required = read_keys(path), found, True

    def __len__(self) -> int:
        self._refresh()
        return len(self._keys)

    def needs_key(self) -> bool:
        """`is_required`, after a look at the file."""
        self._refresh()
        return self.is_required

    def find(self, token: str) -> ApiKey | None:
        """The key of a token, if it is valid now."""
        self._refresh()
        return find_key(self._keys, token)

    def _refresh(self) -> None:
        found = self._stamp()
        if found == self._seen:
            return
        self._seen = found
        try:
            self._keys = read_keys(self._path)
        except (FileNotFoundError, ConfigError) as error:
            self._keys = ()
            reason = error.message if isinstance(error, ConfigError) else f"{self._path}: is gone"
            log.error(line("keys_unusable", reason=reason, effect="every request is refused"))
        else:
            self.is_required = True
            log.info(line("keys_read", file=self._path, keys=len(self._keys)))

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
