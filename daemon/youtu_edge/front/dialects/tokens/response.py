"""The responses of the tokenizer routes."""

from __future__ import annotations

import msgspec

from youtu_edge.front.dialects.tokens.request import TokenId


class TokenizeAnswer(msgspec.Struct):
    """The token ids and their number."""

    tokens: list[TokenId]
    count: int


class DetokenizeAnswer(msgspec.Struct):
    """The text, with control tokens written out."""

    content: str


class TemplateAnswer(msgspec.Struct):
    """What the chat template makes of the conversation, up to where the assistant's answer begins."""

    prompt: str
