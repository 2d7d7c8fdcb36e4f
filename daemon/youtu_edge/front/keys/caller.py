"""The caller of the request that is being handled, and the urgency and deadline in its headers.

A context variable, because it concerns every dialect alike and none of them should have to pass it on: the access
middleware sets it, admission reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

from youtu_edge.front.keys.api_keys import ApiKey


class Caller(msgspec.Struct, frozen=True):
    """`key` is None if no key is needed."""

    key: ApiKey | None = None
    urgency: int | None = None
    """0 (first) to 7 (last), of the header Priority (RFC 9218)."""
    deadline: float | None = None
    """Time of the event loop by which the answer must be complete, of the header X-Request-Timeout-S."""
    address: str = ""
    """IP address of the client; through a trusted proxy, the one that the proxy reports."""


CALLER: ContextVar[Caller] = ContextVar("caller", default=Caller())  # noqa: B039 (frozen)


@contextmanager
def acting_for(name: str) -> Iterator[None]:
    """Act for the key `name`, whose request an earlier process admitted; its hash and scopes are unknown."""
    key = ApiKey(name=name, sha256="0" * 64, scopes=()) if name else None
    token = CALLER.set(Caller(key=key))
    try:
        yield
    finally:
        CALLER.reset(token)


def owner() -> str:
    """The owner of what the caller stores on the device: the name of its key, "" without keys."""
    key = CALLER.get().key
    return key.name if key is not None else ""
