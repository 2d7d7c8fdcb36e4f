"""A lower bound of a text's token count, found without tokenising it: a text that can never fit is rejected at once.

A token covers at most as much text as the longest piece of the vocabulary that contains one of its symbols:

    tokens >= sum over the symbols s of the text of  1 / length of the longest piece that contains s

Symbols are bytes in a byte-level vocabulary and characters in others; those that the vocabulary lacks count as zero. There
is no bound for a tokenizer that may drop text or map any amount of it to one token (white space removed, unknown words).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from youtu_edge.engine.text.piece_decoder import byte_level_alphabet
from youtu_edge.request_errors import ContextLengthError

_CHUNK = 1 << 16
_SPACE = "\u2581"
_FORMS: dict[str, Literal["NFC", "NFD", "NFKC", "NFKD"]] = {"NFC": "NFC", "NFD": "NFD", "NFKC": "NFKC", "NFKD": "NFKD"}
_KEEPING = {"ByteLevel", "Digits", "Metaspace", "Sequence", "Split", "Punctuation", "FixedLength"}
"""Pre-tokenizers that drop nothing, unless their `behavior` is "Removed"."""

Shares = npt.NDArray[np.float32]


class TokenBound:
    """The bound for one `tokenizers.Tokenizer`."""

    def __init__(self, tokenizer: Any) -> None:
        normalizers, pre_tokenizers = _parts(tokenizer.normalizer), _parts(tokenizer.pre_tokenizer)
        pieces = tokenizer.get_vocab(with_added_tokens=True)
        kinds = {part["type"] for part in (*normalizers, *pre_tokenizers)}
        self._is_byte_level = "ByteLevel" in kinds
        self._forms = [_FORMS[part["type"]] for part in normalizers if part["type"] in _FORMS]
        self._shares: Shares | None = None
        if _keeps_everything(tokenizer, normalizers, pre_tokenizers):
            added = tokenizer.get_added_tokens_decoder().values()
            falls_back = bool(tokenizer.model.byte_fallback) and all(f"<0x{byte:02X}>" in pieces for byte in range(256))
            self._shares = _byte_shares(pieces, added) if self._is_byte_level else _shares(pieces, falls_back=falls_back)
            if any(token.lstrip or token.rstrip for token in added):
                self._shares[list(b" \t\n\r\v\f")] = 0  # such a token absorbs all adjacent white space

    def least(self, text: str) -> int:
        """The lower bound of the text's token count; 0 if there is none."""
        if self._shares is None:
            return 0
        for form in self._forms:
            text = unicodedata.normalize(form, text)
        total = sum(float(self._shares[symbols].sum(dtype=np.float64)) for symbols in self._symbols(text))
        return int(total * (1 - 1e-6))

    def _symbols(self, text: str) -> Iterator[npt.NDArray[Any]]:
        """The text in chunks, as indices into `_shares`."""
        assert self._shares is not None
        for begin in range(0, len(text), _CHUNK):
            piece = text[begin : begin + _CHUNK]
            if self._is_byte_level:
                yield np.frombuffer(piece.encode(errors="replace"), np.uint8)
            else:
                codes = np.frombuffer(piece.encode("utf-32-le", errors="replace"), np.uint32)
                yield np.minimum(codes, len(self._shares) - 1)


class TextLimit:
    """Rejects texts that can never fit into `max_tokens`."""

    def __init__(self, bound: TokenBound, max_tokens: int) -> None:
        self._bound = bound
        self._max_tokens = max_tokens

    def check(self, text: str, param: str | None) -> None:
        """Raises ContextLengthError naming the request's field."""
        if len(text) <= self._max_tokens:
            return
        least = self._bound.least(text)
        if least > self._max_tokens:
            problem = f"the text has at least {least} tokens and can never fit into {self._max_tokens} with an answer"
            raise ContextLengthError(problem, param=param)


def _parts(component: Any) -> list[dict[str, Any]]:
    """The JSON description of a normalizer or pre-tokenizer, with sequences flattened."""
    if component is None:
        return []
    found: list[dict[str, Any]] = []
    open_parts = [json.loads(component.__getstate__())]
    while open_parts:
        part = open_parts.pop()
        found.append(part)
        open_parts += part.get("normalizers") or part.get("pretokenizers") or []
    return found


def _keeps_everything(tokenizer: Any, normalizers: list[dict[str, Any]], pre_tokenizers: list[dict[str, Any]]) -> bool:
    """Whether no known symbol is dropped, and no token covers more than its piece."""
    for part in normalizers:
        replaces_spaces = part.get("pattern") == {"String": " "} and part.get("content") == _SPACE
        if part["type"] not in {*_FORMS, "Sequence", "Prepend", "ByteLevel"} and not replaces_spaces:
            return False
    if any(part["type"] not in _KEEPING or part.get("behavior") == "Removed" for part in pre_tokenizers):
        return False
    return type(tokenizer.model).__name__ == "BPE"


def _longest_pieces(pieces: dict[str, int]) -> Shares:
    """For every character, the length of the longest piece that contains it; the last entry is for those in none."""
    names = list(pieces)
    codes = np.frombuffer("".join(names).encode("utf-32-le", errors="replace"), np.uint32)
    lengths = np.fromiter(map(len, names), np.int64, len(names))
    longest = np.ones(max(256, int(codes.max(initial=0)) + 2), np.float32)
    np.maximum.at(longest, codes, np.repeat(lengths, lengths).astype(np.float32))
    longest[ord(" ")] = max(longest[ord(" ")], longest[ord(_SPACE)] if ord(_SPACE) < len(longest) else 1)
    return longest


def _shares(pieces: dict[str, int], *, falls_back: bool) -> Shares:
    """For every character, the smallest share of a token that it takes; the last entry is for those beyond the table.

    A character that is not a piece becomes bytes if the model `falls_back` to them; otherwise it may be dropped.
    """
    longest = _longest_pieces(pieces)
    if falls_back:
        return np.reciprocal(longest)
    shares = np.zeros_like(longest)
    known = [code for code in (ord(piece) for piece in pieces if len(piece) == 1) if code < len(longest)]
    shares[known] = 1 / longest[known]
    shares[ord(" ")] = shares[ord(_SPACE)] if _SPACE in pieces else shares[ord(" ")]
    return shares


def _byte_shares(pieces: dict[str, int], added: Iterable[Any]) -> Shares:
    """For every byte, the smallest share of a token that it takes; some vocabularies lack rare bytes."""
    longest = _longest_pieces(pieces)
    shares = np.zeros(256, np.float32)
    for character, byte in byte_level_alphabet().items():
        if character in pieces:
            shares[byte] = 1 / longest[ord(character)]
    for token in added:  # an added token covers exactly its own characters
        data = list(token.content.encode(errors="replace"))
        shares[data] = np.minimum(shares[data], 1 / max(1, len(data)))
    return shares
