"""The keys that are valid now: rereads their file whenever it changes.

Once a key file has been seen, keys are required until the daemon exits: a file that is missing or damaged fails closed, and
every request is rejected. After a passing read error the keys read last stay valid. In either case the read is retried, at
most once a second.
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
    """Checks the file's timestamps on every lookup, so that adding or revoking a key takes effect at once.

    `clock` is monotonic.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigError when there is, or may be, a file that cannot be used, and KeysUnreadableError."""
        self._path = path
        self._clock = clock
        self._seen: _Stamp | None = None
        self._keys: tuple[ApiKey, ...] = ()
        self._failure = ""
        """Why the last read failed; "" if it did not."""
        self._retry_at = 0.0
        self.is_required = False
        """Whether every request must bring a key."""
        if (found := self._stamp()) is not None:
            self._keys, self._seen, self.is_required = read_keys(path), found, True

    def __len__(self) -> int:
        self._refresh()
        return len(self._keys)

    def needs_key(self) -> bool:
        """`is_required`, after rereading a changed file."""
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
            self._failed(f"{self._path}: no longer exists", is_lasting=True)
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
            effect = "every request is rejected" if is_lasting else "the keys read last stay valid; retrying"
            log.error(line("keys_unusable", reason=reason, effect=effect))

    def _stamp(self) -> _Stamp | None:
        """Changes when the file does; None without a file. Raises ConfigError and KeysUnreadableError."""
        try:
            found = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise reading_failed(self._path, error) from None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
