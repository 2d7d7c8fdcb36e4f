"""What an engine may be working on: a request or a query, known by what it asks for rather than by who asks.

Whose client leaves, or whose time is over, is no request and no query any more; the engine may be in the middle of it
all the same, and if it dies there, that was the cause.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

import msgspec

from youtu_edge.protocol.to_engine import SamplingParams, Submit, TokenizerQuery

_MOST_DEPARTED = 256


class Work(NamedTuple):
    """One piece of it."""

    digest: bytes
    """Of what is asked: see `digest_of`."""
    tokens: int
    """Of the answer so far."""


class Departed:
    """Work that ended here before the engine said so. What no engine was given stays until the next one starts."""

    def __init__(self) -> None:
        self._works: OrderedDict[str, Work] = OrderedDict()

    def note(self, work_id: str, work: Work) -> None:
        """Nobody waits for it any more."""
        self._works[work_id] = work
        if len(self._works) > _MOST_DEPARTED:
            self._works.popitem(last=False)

    def forget(self, work_id: str) -> None:
        """The engine is done with it."""
        self._works.pop(work_id, None)

    def clear(self) -> None:
        """Another engine starts."""
        self._works.clear()

    def find(self, work_id: str) -> Work | None:
        """The work of that id, if it is such."""
        return self._works.get(work_id)


def digest_of(asked: Submit | TokenizerQuery) -> bytes:
    """Of what the engine is asked to compute: not who asks, with which seed, or how much of the answer there is."""
    if isinstance(asked, Submit):
        asked = msgspec.structs.replace(
            asked, id="", priority=0, sampling=SamplingParams(), sent_tokens=[], sent_text="", is_suspect=False
        )
    return hashlib.sha256(msgspec.msgpack.encode(asked)).digest()
