"""Holds log-probabilities back as long as the text of their tokens is held back.

The engine sends a token's log-probability with the token, but its text only when it is a whole character and cannot be part
of a stop string. A token whose text is never sent, because it belongs to a stop string, is left out.
"""

from __future__ import annotations

import codecs
from collections import deque

from youtu_edge.protocol.from_engine import Delta, TokenLogprob


class LogprobQueue:
    """The state of one answer, in characters of its text, in which invalid bytes are replacement characters.

    tokens:  [ released ....... | waiting ... ]      waiting: those that begin at or after `_shown`
    text:    [ shown ............. ]
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")  # as the engine decodes
        self._waiting: deque[tuple[int, TokenLogprob]] = deque()
        self._begin = 0
        self._shown = 0

    def push(self, delta: Delta) -> None:
        """Add the tokens of one step."""
        for entry in delta.logprobs:
            # A token without text, such as the end token, comes after an unfinished character.
            behind = 0 if entry.drawn.utf8 else len(self._decoder.getstate()[0][:1])
            self._waiting.append((self._begin + behind, entry))
            self._begin += len(self._decoder.decode(entry.drawn.utf8))
        self._shown += len(delta.text)

    def release(self) -> list[TokenLogprob]:
        """Entries of the tokens whose text has begun to show."""
        released = []
        while self._waiting and self._waiting[0][0] < self._shown:
            released.append(self._waiting.popleft()[1])
        return released
