"""The fields with which every document of OpenAI's chats and completions begins."""

from __future__ import annotations

import msgspec


class Head(msgspec.Struct, frozen=True):
    """They are the same in all documents of one request."""

    id: str
    created: int
    """Unix time in seconds."""
    model: str
