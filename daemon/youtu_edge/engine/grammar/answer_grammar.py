"""Which tokens may continue one answer. Holds the grammar's state and the tags around it.

    bound:   [thought] answer                                  every token of the answer is masked
    free:    [thought] text <tool_call> call </tool_call> text ...   only calls are masked

A thought is never masked, but while an answer is due it may not end the answer. The states are functions of the tokens
alone, so that an answer that another engine began is continued by showing its tokens to `accept`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher

from youtu_edge.engine.grammar.matcher import STEP_BYTES
from youtu_edge.engine.grammar.token_table import LINE_BREAKS, TokenTable
from youtu_edge.protocol import tags
from youtu_edge.request_errors import InvalidRequestError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_THOUGHT_BEGIN, _THOUGHT_END = tags.THOUGHT_BEGIN.encode(), tags.THOUGHT_END.encode()
_CALL_BEGIN = tags.CALL_BEGIN.encode()


class AnswerGrammar:
    """The state of one answer.

    answer: what the whole answer must be, or None. call: what must follow <tool_call> in a free answer, or None.
    thought_token: the id of <think> if the answer may begin with it. max_token_s: processor time that a token may take;
    some grammars take longer with every token, and everybody waits.
    """

    def __init__(
        self,
        table: TokenTable,
        token_bytes: Callable[[int], bytes],
        *,
        answer: LLMatcher | None,
        call: LLMatcher | None,
        eos: frozenset[int],
        in_thought: bool = False,
        thought_token: int | None = None,
        parallel_calls: bool = True,
        max_token_s: float = 0.25,
    ) -> None:
        self._table = table
        self._token_bytes = token_bytes
        self._answer = answer
        self._call = call
        self._matcher = answer
        self._eos = np.array(sorted(eos), dtype=np.int64)
        self._thought_token = thought_token
        self._parallel_calls = parallel_calls
        self._max_token_s = max_token_s
        self._state: Literal["begin", "thought", "after_thought", "open"] = "thought" if in_thought else "begin"
        self._tail = b""
        """The end of the unmasked text, in which a tag may be beginning."""
        self.is_complete = False
        """Nothing may follow: the answer has ended, whether the model says so or not."""

    def constrain(self, logits: Floats) -> Ints | None:
        """Ids that may come next, ascending, or None for all. Raises InvalidRequestError when the grammar is too complex.

        Where all may come, those that may not are set to -inf in `logits`.
        """
        if self._state == "thought":
            if self._answer is not None:
                logits[self._eos[self._eos < len(logits)]] = -np.inf
            return None
        if self._matcher is None:
            return None
        self._table.check_room(STEP_BYTES)
        begun = time.thread_time()
        ids = self._table.allowed(self._matcher)
        self._check(self._matcher, begun)
        if self._state == "begin" and self._thought_token is not None:
            return np.union1d(ids, [self._thought_token])
        if self._state == "after_thought":
            return np.union1d(ids, self._table.line_breaks)
        return ids

    def accept(self, token: int) -> bool:
        """The answer goes on with this token, which ends nothing; whether the token is part of a call.

        Raises InvalidRequestError as `constrain`.
        """
        was_call = self._in_call
        self._follow(token)
        return was_call or self._in_call

    @property
    def _in_call(self) -> bool:
        return self._answer is None and self._matcher is not None

    def _follow(self, token: int) -> None:
        data = self._token_bytes(token)
        if self._state == "begin" and token == self._thought_token:
            self._state = "thought"
        elif self._state == "thought":
            self._think(data)
        elif self._state == "after_thought" and data in LINE_BREAKS:
            self._state = "open"
        elif self._matcher is not None:
            self._state = "open"
            self._consume([token])
        else:
            self._write(data)

    def _think(self, data: bytes) -> None:
        self._tail += data
        _, end, rest = self._tail.partition(_THOUGHT_END)
        self._tail = self._tail[-len(_THOUGHT_END) :]
        if end:
            self._state, self._tail = "after_thought", b""
            if rest.strip():
                self._state = "open"
                if self._matcher is None:
                    self._write(rest)
                else:
                    self._consume(self._table.cut(rest.lstrip()))

    def _write(self, data: bytes) -> None:
        """Text that nothing masks: look for the beginning of a call."""
        self._tail += data
        if self._state != "open" and self._begins_thought():
            return
        _, begin, rest = self._tail.partition(_CALL_BEGIN)
        if not begin or self._call is None:
            self._tail = self._tail[-len(_CALL_BEGIN) :]
            return
        matcher = self._call.deep_copy()
        # A token may hold the end of the tag and the beginning of the call. If no call begins like that, it is text.
        tokens = self._table.cut(rest) if rest else []
        self._tail = b""
        if not tokens or matcher.try_consume_tokens(tokens) == len(tokens):
            self._matcher = matcher

    def _begins_thought(self) -> bool:
        """Whether the answer's first text is, or may become, <think>; models without a token for it spell it."""
        if self._state != "begin":
            self._state = "open"
            return False
        text = self._tail.lstrip()
        if text.startswith(_THOUGHT_BEGIN):
            self._state, self._tail = "thought", b""
            self._think(text[len(_THOUGHT_BEGIN) :])
            return True
        if _THOUGHT_BEGIN.startswith(text):
            return True
        self._state = "open"
        return False

    def _consume(self, tokens: list[int]) -> None:
        assert self._matcher is not None
        self._table.check_room(STEP_BYTES)
        begun = time.thread_time()
        self._matcher.consume_tokens(tokens)
        self._check(self._matcher, begun)
        if not self._matcher.is_stopped():
            return
        if self._answer is None and self._parallel_calls:
            self._matcher, self._tail = None, b""
        else:
            self.is_complete = True

    def _check(self, matcher: LLMatcher, begun: float) -> None:
        reason = ""
        if matcher.is_error():
            reason = matcher.get_error().strip().partition("\n")[0]
        elif time.thread_time() - begun > self._max_token_s:
            reason = f"a token takes more than {self._max_token_s} s; make it less ambiguous"
        if reason:
            self._table.forget()  # it may be the states that earlier answers left
            raise InvalidRequestError(f"the answer's grammar cannot be followed any further: {reason}")
