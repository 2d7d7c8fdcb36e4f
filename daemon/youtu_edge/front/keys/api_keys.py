"""API keys: what one may do, and the file that holds their hashes.

A token is 256 random bits, shown once when it is created; the file has its sha256, which needs no salt and no slow hash at
that entropy. Only its owner may write the file, and `youtu-edge keys` writes it with mode 0600.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_args

import msgspec
from msgspec import Meta

from youtu_edge.encoding import json_bytes
from youtu_edge.errors import ConfigError, YoutuEdgeError
from youtu_edge.front.http.scope import Scope

SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "ye-"
"""What every token begins with, so that people and scanners of leaked secrets recognise one."""

_FOREIGN_BITS = stat.S_IWGRP | stat.S_IRWXO
# Reading by the group is tolerated: systemd hands credentials over with an ACL, which shows as the group's bits.

_LASTING = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENXIO})

KeyName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Limit = Annotated[int, Meta(ge=0)]


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of the file. A limit of 0 means unlimited."""

    name: KeyName
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]
    created: str = ""
    """Date at which it was made, YYYY-MM-DD."""
    max_concurrent: Limit = 0
    tokens_per_hour: Limit = 0
    tokens_per_day: Limit = 0
    priority: Annotated[int, Meta(ge=0, le=7)] | None = None
    """The highest urgency of its requests, and their default; None: as for requests without a key."""

    def may(self, scope: Scope) -> bool:
        """Whether the key grants access to a route of this scope."""
        return scope in self.scopes or "admin" in self.scopes


class KeysUnreadableError(YoutuEdgeError):
    """The file could not be read for a passing reason, unrelated to the keys in it; retrying may help."""


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file, JSON."""

    keys: tuple[ApiKey, ...] = ()


def new_token() -> str:
    """A fresh token; keep its hash and show it to its user once."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """The hash of a token, as in the file. Any text can be hashed: an unknown token is not an error here."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def find_key(keys: tuple[ApiKey, ...], token: str) -> ApiKey | None:
    """The key of a token; all entries are compared, each in constant time."""
    digest = hash_token(token)
    found = None
    for key in keys:
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file.

    Raises FileNotFoundError, ConfigError naming the file and what is wrong with it, or KeysUnreadableError when the system
    failed: out of descriptors or memory, a disk or network that does not respond.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise reading_failed(path, error) from None
    if mode & _FOREIGN_BITS:
        raise ConfigError(
            f"{path}: other users may read or write it (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}"
        )
    try:
        keys = msgspec.json.decode(data, type=KeyFile).keys
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a valid key file: {error}; restore it or create the keys again") from None
    names = [key.name for key in keys]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: two keys have the same name; remove one of them")
    return keys


def reading_failed(path: Path, error: OSError) -> YoutuEdgeError:
    """The error for a failed read: ConfigError if it lasts until somebody fixes it, else KeysUnreadableError."""
    if error.errno in _LASTING:
        return ConfigError(f"{path}: cannot be read: {error.strerror}; it must be owned by the daemon's user")
    return KeysUnreadableError(f"{path}: cannot be read just now: {error.strerror}")


def write_keys(path: Path, keys: tuple[ApiKey, ...]) -> None:
    """Replace the file atomically by one with these keys: mode 0600, owned by the directory's owner.

    Raises OSError.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    data = msgspec.json.format(json_bytes(KeyFile(keys)), indent=2) + b"\n"
    fresh.unlink(missing_ok=True)
    try:
        # Root may write in a directory of the daemon's user: never follow a link planted there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            if os.geteuid() == 0:  # the daemon runs as another user and has to read it
                owner = path.parent.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock the file against other commands that change it. Raises OSError when its directory cannot be opened."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
