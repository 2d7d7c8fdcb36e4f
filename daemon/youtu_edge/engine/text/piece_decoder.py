"""The bytes of a vocabulary piece, found by running the tokenizer's decoder on it.

Pieces are not text: `Ġthe`, `▁the` and `<0xE4>` stand for other bytes, which depend on the decoder. Its type is not enough:
a sequence may contain a byte-level decoder, and without byte fallback `<0xE4>` is literal. So every piece is decoded
between two letters, where nothing is trimmed:

    decode [a, ▁the, a]  ->  "a the" + "a"      the piece is " the" inside a text
    decode [▁the]        ->  "the"              the decoder drops the first space of a text
"""

from __future__ import annotations

import re
from typing import Any

_ANCHOR = "a"
_SPACED = ("\u2581a", "\u0120a", " a", "a")
"""An `a` preceded by a space as vocabularies write it; the last one for those in which every piece is a word."""
_BYTE_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def byte_level_alphabet() -> dict[str, int]:
    """The printable stand-in of each byte in byte-level BPE (Radford et al. 2019): printable Latin-1 stands for itself, the
    other bytes are numbered from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    table.update({chr(0x100 + index): byte for index, byte in enumerate(others)})
    return table


class PieceDecoder:
    """`decoder` is a decoder of the `tokenizers` library, or None, for which the library joins pieces with spaces."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._alphabet = byte_level_alphabet()
        alone, two = self._text([_ANCHOR]), self._text([_ANCHOR, _ANCHOR])
        self._before, self._after = alone, two[len(alone) :] if two.startswith(alone) else ""
        self.strips_first_space = any(self.bytes_of(piece) == b" a" and self._text([piece]) == "a" for piece in _SPACED)
        """Whether the leading space of a text's first piece is dropped."""

    def bytes_of(self, piece: str) -> bytes:
        """The piece's UTF-8 bytes inside a text, perhaps part of a character."""
        text = self._inside(piece)
        if "\ufffd" not in text:
            return text.encode()
        for data in self._spellings(piece):
            if data.decode(errors="replace") == text:
                return data
        return text.encode()

    def first_bytes_of(self, piece: str) -> bytes:
        """The piece's bytes at the beginning of a text.

        At most one space is dropped, although some decoders strip all leading spaces of a first piece, even indentation.
        """
        data = self.bytes_of(piece)
        if not self.strips_first_space or not data.startswith(b" "):
            return data
        whole = data.decode(errors="replace") + self._after
        return data if self._text([piece, _ANCHOR]) == whole else data[1:]

    def _inside(self, piece: str) -> str:
        """The decoded text of the piece between two others."""
        text = self._text([_ANCHOR, piece, _ANCHOR])
        end = len(text) - len(self._after)
        if not text.startswith(self._before) or not text.endswith(self._after) or end < len(self._before):
            return self._text([piece])  # its neighbours do not appear in the output
        return text[len(self._before) : end]

    def _spellings(self, piece: str) -> list[bytes]:
        """The bytes that the piece may stand for if they are not whole characters."""
        if found := _BYTE_FALLBACK.fullmatch(piece):
            return [bytes([int(found[1], 16)])]
        alphabet = self._alphabet
        return [bytes(alphabet[character] for character in piece)] if all(c in alphabet for c in piece) else []

    def _text(self, pieces: list[str]) -> str:
        return " ".join(pieces) if self._decoder is None else str(self._decoder.decode(pieces))
