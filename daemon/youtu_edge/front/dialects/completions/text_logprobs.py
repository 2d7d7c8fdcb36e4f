"""Log-probabilities in the shape of completions: parallel lists, and tokens by their text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

import msgspec

from youtu_edge.protocol.from_engine import Alternative, TokenLogprob


class TextLogprobs(msgspec.Struct):
    """Log-probabilities in the shape of completions."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextLogprobWriter:
    """The state of one answer.

    text:    | a |  中     | b |        offsets count characters; a token that begins inside a character has the
    tokens:  [ a ][e4 b8][ad][ b ]      offset of that character: 0 1 1 2
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._offset = 0

    def write(self, entries: Sequence[TokenLogprob], length: int) -> TextLogprobs:
        """The next tokens. `length`: characters of the answer so far, the text of these tokens included."""
        return TextLogprobs(
            [_name(entry.drawn) for entry in entries],
            [entry.drawn.logprob for entry in entries],
            [_by_name(entry) for entry in entries],
            [min(self._advance(entry.drawn), length) for entry in entries],
        )

    def _advance(self, token: Alternative) -> int:
        """Where the token begins; the next one begins after it."""
        begin = self._offset
        self._offset += len(self._decoder.decode(token.utf8))
        return begin


def _name(token: Alternative) -> str:
    """Its text; its bytes, in OpenAI's notation, when it is only a part of a character."""
    try:
        token.utf8.decode()
    except UnicodeDecodeError:
        return _bytes(token)
    return token.text


def _bytes(token: Alternative) -> str:
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.utf8)


def _by_name(entry: TokenLogprob) -> dict[str, float]:
    """The drawn token and the alternatives. Of two tokens with the same text, the second is named by its bytes."""
    named: dict[str, float] = {}
    for token in (entry.drawn, *(other for other in entry.top if other != entry.drawn)):
        name = _name(token)
        named[_bytes(token) if name in named else name] = token.logprob
    return named
