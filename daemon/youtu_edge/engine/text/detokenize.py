"""From token ids to text that can be sent: whole characters only, and nothing that may become part of a stop string.

`Vocabulary` maps each token to its bytes; `TextStream` is the state of one answer. Neither depends on a model.
"""

from __future__ import annotations

import codecs
from typing import Any

from youtu_edge.engine.text.piece_decoder import PieceDecoder
from youtu_edge.protocol.tags import THOUGHT_END, THOUGHTS, may_become_thought, thought_of
from youtu_edge.tool_formats import TOOL_TAGS

TAGS = frozenset([*THOUGHTS, *THOUGHTS.values()]) | TOOL_TAGS
"""Control tokens that stay in the answer's text, because the front finds thoughts and calls by them."""


class Vocabulary:
    """Bytes of each token of a `tokenizers.Tokenizer`, cached after the first lookup."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._decoder = PieceDecoder(tokenizer.decoder)
        self._added = {
            token_id: b"" if token.special and token.content not in TAGS else self._added_bytes(token.content)
            for token_id, token in tokenizer.get_added_tokens_decoder().items()
        }
        self._cache: dict[int, bytes] = dict(self._added)

    @property
    def strips_first_space(self) -> bool:
        """Whether the leading space of a text's first token is dropped, as in SentencePiece."""
        return self._decoder.strips_first_space

    def token_bytes(self, token: int) -> bytes:
        """The token's UTF-8 bytes inside a text, perhaps part of a character; empty for control tokens and unknown ids.

        The first token of a text may lose a space, see `first_bytes`.
        """
        known = self._cache.get(token)
        if known is None:
            known = self._cache[token] = self._look_up(token)
        return known

    def first_bytes(self, token: int) -> bytes:
        """The token's bytes as the first token of a text."""
        data = self.token_bytes(token)
        if not self.strips_first_space or not data.startswith(b" "):
            return data
        return self._decoder.first_bytes_of(self._tokenizer.id_to_token(token))

    def all_bytes(self, size: int) -> list[bytes]:
        """Bytes of the tokens [0, size). Not cached: a large vocabulary takes many megabytes in this form."""
        return [self._added[token] if token in self._added else self._look_up(token) for token in range(size)]

    def _look_up(self, token: int) -> bytes:
        piece = self._tokenizer.id_to_token(token)
        return b"" if piece is None else self._decoder.bytes_of(piece)

    def _added_bytes(self, content: str) -> bytes:
        """The decoded content, or the content itself where the decoder misreads its characters as byte stand-ins."""
        data = self._decoder.bytes_of(content)
        return content.encode() if "\ufffd" in data.decode(errors="replace") else data


class ProseGate:
    """Finds where default stop strings begin to apply: after a thought and leading white space."""

    def __init__(self, *, in_thought: bool) -> None:
        self._in_thought = in_thought
        self._seen = ""
        self.is_open = False

    def split(self, new: str) -> int:
        """Index in `new`, the next piece of text, from which stop strings apply; its length if they do not yet."""
        before = len(self._seen)
        self._seen += new
        begun, body = self._seen.lstrip(), 0
        thought = ("", THOUGHT_END) if self._in_thought else thought_of(begun)
        if thought is not None:
            end = self._seen.find(thought[1])
            if end < 0:
                return len(new)
            body = end + len(thought[1])
        elif may_become_thought(begun):
            return len(new)
        prose = self._seen[body:].lstrip()
        if not prose:
            return len(new)
        self.is_open = True
        return max(0, len(self._seen) - len(prose) - before)


class TextStream:
    """The text of one answer during generation.

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
        is_continuation: bool = False,
        call_begin: str = "",
    ) -> None:
        """`gate` finds where stop strings begin to apply; `keeps_stop` leaves them in the text unless they are blank.

        is_continuation: the text continues another one, so it keeps a leading space that the vocabulary would drop.
        call_begin: how a tool call begins, if there may be one; stop strings do not apply in calls, nor in this tag.
        """
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop = [text for text in stop or [] if text]
        self._gate = gate
        self._keeps_stop = keeps_stop
        self._call_begin = call_begin
        self._held = ""
        self._at_start = vocabulary.strips_first_space and not is_continuation
        self.stop_text: str | None = None
        """The stop string that was found; text after it is dropped."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return self.stop_text is not None

    def shown(self, token: int) -> bytes:
        """The bytes that this token would append to the text."""
        return self._vocabulary.first_bytes(token) if self._at_start else self._vocabulary.token_bytes(token)

    def push(self, token: int, *, in_call: bool = False) -> str:
        """Append a token; returns the text that can be sent, perhaps none. in_call: the token is part of a tool call."""
        if self.stopped:
            return ""
        new = self._decoder.decode(self.shown(token))
        self._at_start = self._at_start and not self._vocabulary.token_bytes(token)
        if in_call:
            new, self._held = self._held + new, ""
            return new
        return self._release(new)

    def finish(self) -> str:
        """The remaining text at the end of the answer; an incomplete character becomes U+FFFD."""
        if self.stopped:
            return ""
        self._call_begin = ""  # held-back text did not become a call
        text = self._release(self._decoder.decode(b"", final=True))
        if self.stopped:
            return text
        text, self._held = text + self._held, ""
        return text

    def _release(self, new: str) -> str:
        if not self._stop:
            return new
        if self._gate is not None and not self._gate.is_open:
            cut = self._gate.split(new)
            return new[:cut] + (self._search(new[cut:]) if self._gate.is_open else "")
        return self._search(new)

    def _search(self, new: str) -> str:
        """The text that can be sent where stop strings apply."""
        text = self._held + new
        size = len(text) - _overlap(text, self._call_begin)
        ends = [(index, stop) for stop in self._stop if (index := text.find(stop, 0, size)) >= 0]
        if ends:
            self._held = ""
            index, self.stop_text = min(ends)
            return text[:index] + (self.stop_text if self._keeps_stop and self.stop_text.strip() else "")
        sure = size - max(_overlap(text[:size], stop) for stop in self._stop)
        self._held = text[sure:]
        return text[:sure]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest suffix of `text` that is a proper prefix of `stop`."""
    start = text.find(stop[0], max(0, len(text) - len(stop) + 1)) if stop else -1
    while start >= 0:
        if stop.startswith(text[start:]):
            return len(text) - start
        start = text.find(stop[0], start + 1)
    return 0
