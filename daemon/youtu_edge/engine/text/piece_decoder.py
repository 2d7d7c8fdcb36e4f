"""What a tokenizer's decoder makes of a token's piece, found by asking it.

A vocabulary's pieces are not text: `Ġthe`, `▁the` and `<0xE4>` stand for other bytes, and the decoder says which. Its type
tells nothing: a sequence may hold a byte-level decoder, and one without byte fallback shows `<0xE4>` as it is. So every
piece is decoded between two letters, where nothing is trimmed:

    decode [a, ▁the, a]  ->  "a the" + "a"      the piece is " the" inside a text
    decode [▁the]        ->  "the"              the decoder drops the first space of a text
"""

from __future__ import annotations

import re
from typing import Any

_ANCHOR = "a"
_SPACED = ("\u2581a", "\u0120a", " a", "a")
"""How vocabularies write an `a` with a space before it; the last where every piece is a word."""
_BYTE_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def byte_level_alphabet() -> dict[str, int]:
    """The printable stand-in of each byte in byte-level BPE (Radford et al. 2019): printable Latin-1 stands for itself, the
    other bytes are counted up from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    table.update({chr(0x100 + index): byte for index, byte in enumerate(others)})
    return table


class PieceDecoder:
    """`decoder` is a decoder of the `tokenizers` library, or None: then the library puts a space between pieces."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._alphabet = byte_level_alphabet()
        alone, two = self._text([_ANCHOR]), self._text([_ANCHOR, _ANCHOR])
        self._before, self._after = alone, two[len(alone) :] if two.startswith(alone) else ""
        self.strips_first_space = any(self.bytes_of(piece) == b" a" and self._text([piece]) == "a" for piece in _SPACED)
        """Whether a text loses the space with which its first piece begins."""

    def bytes_of(self, piece: str) -> bytes:
        """UTF-8 bytes that the piece stands for inside a text; they may be part of a character."""
        text = self._inside(piece)
        if "\ufffd" not in text:
            return text.encode()
        for data in self._spellings(piece):
            if data.decode(errors="replace") == text:
                return data
        return text.encode()

    def first_bytes_of(self, piece: str) -> bytes:
        """Those that the piece stands for at the beginning of a text.

        It loses one space at most: some decoders drop every space of a first piece, those of an indented line too.
        """
        data = self.bytes_of(piece)
        if not self.strips_first_space or not data.startswith(b" "):
            return data
        whole = data.decode(errors="replace") + self._after
        return data if self._text([piece, _ANCHOR]) == whole else data[1:]

    def _inside(self, piece: str) -> str:
        """What is shown of the piece between two others."""
        text = self._text([_ANCHOR, piece, _ANCHOR])
        end = len(text) - len(self._after)
        if not text.startswith(self._before) or not text.endswith(self._after) or end < len(self._before):
            return self._text([piece])  # it swallows its neighbours
        return text[len(self._before) : end]

    def _spellings(self, piece: str) -> list[bytes]:
        """The bytes that the piece may stand for when they are no whole characters."""
        if found := _BYTE_FALLBACK.fullmatch(piece):
            return [bytes([int(found[1], 16)])]
        alphabet = self._alphabet
        return [bytes(alphabet[character] for character in piece)] if all(c in alphabet for c in piece) else []

    def _text(self, pieces: list[str]) -> str:
        return " ".join(pieces) if self._decoder is None else str(self._decoder.decode(pieces))
