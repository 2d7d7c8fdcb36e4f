"""What an engine may be working on: a request or a query, identified by its content and not by its client.

When the client leaves or the deadline passes, the request is closed here, but the engine may still be in the middle of it;
if it dies there, that was the cause.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

import msgspec

from youtu_edge.encoding import msgpack_bytes
from youtu_edge.protocol.to_engine import SamplingParams, Submit, TokenizerQuery

_MOST_DEPARTED = 256


class Work(NamedTuple):
    """One piece of work."""

    digest: bytes
    """Of the content: see `digest_of`."""
    tokens: int
    """Number of tokens of the answer so far."""


class Departed:
    """Work that was closed here before the engine reported its end; cleared when the next engine starts."""

    def __init__(self) -> None:
        self._works: OrderedDict[str, Work] = OrderedDict()

    def note(self, work_id: str, work: Work) -> None:
        """Record work that was closed here."""
        self._works[work_id] = work
        if len(self._works) > _MOST_DEPARTED:
            self._works.popitem(last=False)

    def forget(self, work_id: str) -> None:
        """The engine has reported its end."""
        self._works.pop(work_id, None)

    def clear(self) -> None:
        """Another engine starts."""
        self._works.clear()

    def find(self, work_id: str) -> Work | None:
        """The departed work with that id, if there is any."""
        return self._works.get(work_id)


def digest_of(content: Submit | TokenizerQuery) -> bytes:
    """Digest of what the engine has to compute, without the client, the sampling, and the answer so far."""
    if isinstance(content, Submit):
        content = msgspec.structs.replace(
            content, id="", priority=0, sampling=SamplingParams(), sent_tokens=[], sent_text="", is_suspect=False
        )
    return hashlib.sha256(msgpack_bytes(content)).digest()
