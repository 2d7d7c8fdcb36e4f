"""The keys that are valid now: reads their file again whenever it changed.

Once a file of keys was seen, keys are needed until the daemon ends: a file that vanished or was damaged locks the door, it
does not open it. A file that the system could not read just now says nothing about its keys: those read last stay valid.
In either case it is tried again, at most once a second.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.keys.api_keys import ApiKey, KeysUnreadableError, find_key, read_keys, reading_failed
from youtu_edge.log import line

log = logging.getLogger(__name__)

_RETRY_S = 1.0

_Stamp = tuple[int, ...]


class KeyRing:
    """Looks at the file's times on every question, so that a key works, and stops working, at once.

    `clock` is monotonic.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigError when there is, or may be, a file that cannot be used, and KeysUnreadableError."""
        self._path = path
        self._clock = clock
        self._seen: _Stamp | None = None
        self._keys: tuple[ApiKey, ...] = ()
        self._failure = ""
        """Why the last look failed; "" when it did not."""
        self._retry_at = 0.0
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
        try:
            found = self._stamp()
            if found == self._seen and (not self._failure or self._clock() < self._retry_at):
                return
            self._seen = found
            if found is None and not self.is_required:
                return
            self.is_required = True
            self._keys = read_keys(self._path)
        except FileNotFoundError:
            self._failed(f"{self._path}: is gone", is_lasting=True)
        except YoutuEdgeError as error:
            self._failed(error.message, is_lasting=not isinstance(error, KeysUnreadableError))
        else:
            self._failure = ""
            log.info(line("keys_read", file=self._path, keys=len(self._keys)))

    def _failed(self, reason: str, *, is_lasting: bool) -> None:
        self._retry_at = self._clock() + _RETRY_S
        if is_lasting:
            self._keys = ()
        if reason != self._failure:
            self._failure = reason
            effect = "every request is refused" if is_lasting else "the keys read before stay valid; tried again"
            log.error(line("keys_unusable", reason=reason, effect=effect))

    def _stamp(self) -> _Stamp | None:
        """What changes when the file does; None when there is none. Raises ConfigError and KeysUnreadableError."""
        try:
            found = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise reading_failed(self._path, error) from None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
