"""From token ids to text that may be shown: whole characters only, and nothing that may turn out to be a stop string.

`Vocabulary` knows the bytes of every token; `TextStream` is the state of one answer. Neither knows a model.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

_BYTE_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_THOUGHT_BEGIN, _THOUGHT_END = "<think>", "</think>"
_SPM_SPACE = "\u2581"

TAGS = frozenset({"<think>", "</think>", "<tool_call>", "</tool_call>"})
"""Control tokens that are part of the answer's text: the front tells thoughts and calls apart by them."""


def _byte_level_alphabet() -> dict[str, int]:
    """The printable stand-in of each byte in byte-level BPE (Radford et al. 2019): printable Latin-1 stands for itself, the
    other bytes are counted up from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    table.update({chr(0x100 + index): byte for index, byte in enumerate(others)})
    return table


class Vocabulary:
    """Bytes of each token of a `tokenizers.Tokenizer`, looked up once and kept."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._alphabet = _byte_level_alphabet() if type(tokenizer.decoder).__name__ == "ByteLevel" else None
        self._added = {
            token_id: b"" if token.special and token.content not in TAGS else token.content.encode()
            for token_id, token in tokenizer.get_added_tokens_decoder().items()
        }
        self._cache: dict[int, bytes] = dict(self._added)

    @property
    def strips_first_space(self) -> bool:
        """SentencePiece-style vocabularies write a space before the first word."""
        return self._alphabet is None

    def token_bytes(self, token: int) -> bytes:
        """UTF-8 bytes that the token stands for, perhaps part of a character; empty for control tokens and unknown ids."""
        known = self._cache.get(token)
        if known is None:
            known = self._cache[token] = self._look_up(token)
        return known

    def all_bytes(self, size: int) -> list[bytes]:
        """Bytes of the tokens [0, size). They are not kept: a large vocabulary takes many megabytes in this form."""
        return [self._added[token] if token in self._added else self._look_up(token) for token in range(size)]

    def _look_up(self, token: int) -> bytes:
        piece = self._tokenizer.id_to_token(token)
        if piece is None:
            return b""
        if self._alphabet is not None:
            alphabet = self._alphabet
            if all(character in alphabet for character in piece):
                return bytes(alphabet[character] for character in piece)
            return str(piece).encode()
        if found := _BYTE_FALLBACK.fullmatch(piece):
            return bytes([int(found.group(1), 16)])
        return str(piece).replace(_SPM_SPACE, " ").encode()


class ProseGate:
    """From where on a default stop text counts: behind a thought, and behind the white space that models begin with."""

    def __init__(self, *, in_thought: bool) -> None:
        self._in_thought = in_thought
        self._seen = ""
        self.is_open = False

    def split(self, new: str) -> int:
        """Index in `new`, the next piece of text, from which on stop texts count; its length if not yet."""
        before = len(self._seen)
        self._seen += new
        begun, body = self._seen.lstrip(), 0
        if self._in_thought or begun.startswith(_THOUGHT_BEGIN):
            end = self._seen.find(_THOUGHT_END)
            if end < 0:
                return len(new)
            body = end + len(_THOUGHT_END)
        elif _THOUGHT_BEGIN.startswith(begun):
            return len(new)
        prose = self._seen[body:].lstrip()
        if not prose:
            return len(new)
        self.is_open = True
        return max(0, len(self._seen) - len(prose) - before)


class TextStream:
    """Text of one answer as it grows.

    decoded text: [ emitted ................ | held back ]      held back = may be the start of a stop string
    bytes:                                               [ 1..3 bytes of an unfinished character ]
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        stop: list[str] | None = None,
        *,
        gate: ProseGate | None = None,
        keeps_stop: bool = False,
    ) -> None:
        """`gate` tells from where on stop texts count; with `keeps_stop` they stay in the text unless they are blank."""
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop = [text for text in stop or [] if text]
        self._gate = gate
        self._keeps_stop = keeps_stop
        self._held = ""
        self._at_start = vocabulary.strips_first_space
        self.stop_text: str | None = None
        """The stop string that was completed; everything behind it is dropped."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was completed."""
        return self.stop_text is not None

    def push(self, token: int) -> str:
        """Text that can be shown after one more token; may be empty."""
        if self.stopped:
            return ""
        return self._release(self._decoder.decode(self._vocabulary.token_bytes(token)))

    def finish(self) -> str:
        """The rest when nothing more comes; an unfinished character becomes U+FFFD."""
        if self.stopped:
            return ""
        text = self._release(self._decoder.decode(b"", final=True))
        if self.stopped:
            return text
        text, self._held = text + self._held, ""
        return text

    def _release(self, new: str) -> str:
        if self._at_start and new:
            new, self._at_start = new.removeprefix(" "), False
        if not self._stop:
            return new
        if self._gate is not None and not self._gate.is_open:
            cut = self._gate.split(new)
            return new[:cut] + (self._search(new[cut:]) if self._gate.is_open else "")
        return self._search(new)

    def _search(self, new: str) -> str:
        """What can be shown of text in which stop texts count."""
        text = self._held + new
        ends = [(index, stop) for stop in self._stop if (index := text.find(stop)) >= 0]
        if ends:
            self._held = ""
            index, self.stop_text = min(ends)
            return text[:index] + (self.stop_text if self._keeps_stop and self.stop_text.strip() else "")
        keep = max(_overlap(text, stop) for stop in self._stop)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a proper beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
