"""Reads a streamed Python string and writes it as the inside of a JSON string.

Escapes are those of Python, and JSON's `\\/`. As in Python, a backslash before another character is a character itself.
"""

from __future__ import annotations

import json
import re

_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|(.))", re.DOTALL | re.ASCII)
_UNFINISHED = re.compile(r"\\(?:[0-7]{0,2}|x[\da-fA-F]?|u[\da-fA-F]{0,3}|U[\da-fA-F]{0,7})", re.ASCII)
_LETTERS = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "/": "/", "\n": "",
}  # fmt: skip


class StringReader:
    """The state within one string that began with `quote`: one quotation mark, or three."""

    def __init__(self, quote: str) -> None:
        self._quote = quote
        self._plain = re.compile(rf"[^\\{quote[0]}]+")
        self.is_done = False
        self.is_broken = False
        """An escape is none of Python's."""

    def read(self, text: str, at: int) -> tuple[str, int]:
        """The JSON of what is certain in text[at:], and where that ends; what follows is to come again, with more text."""
        written = []
        while at < len(text) and not (self.is_done or self.is_broken):
            piece, begin = "", at
            if text.startswith(self._quote, at):
                self.is_done, at = True, at + len(self._quote)
            elif text[at] == "\\":
                piece, at = self._escape(text, at)
            elif plain := self._plain.match(text, at):
                piece, at = _json(plain[0]), plain.end()
            elif len(text) - at >= len(self._quote):
                piece, at = _json(text[at]), at + 1  # one of the marks of which three are the end
            if at == begin:
                break
            written.append(piece)
        return "".join(written), at

    def _escape(self, text: str, at: int) -> tuple[str, int]:
        if _UNFINISHED.fullmatch(text, at):
            return "", at
        found = _ESCAPE.match(text, at)
        assert found is not None
        octal, *hexadecimal, letter = found.groups()
        code = int(octal, 8) if octal else next((int(digits, 16) for digits in hexadecimal if digits), -1)
        if code > 0x10FFFF or letter in ("x", "u", "U"):
            self.is_broken = True
            return "", at
        return _json(_LETTERS.get(letter, f"\\{letter}") if letter else chr(code)), found.end()


def _json(text: str) -> str:
    """The text inside of a JSON string; only halves of characters outside of Unicode's first plane need an escape."""
    is_half = len(text) == 1 and "\ud800" <= text <= "\udfff"
    return json.dumps(text, ensure_ascii=is_half)[1:-1]
