"""Which tokens may continue one answer: the grammar's state, and the tags around thoughts and calls.

    bound:   [thought] answer                                  the mask applies to every token of the answer
    free:    [thought] text <tool_call> call </tool_call> text ...   it applies to calls only (tags: tool_formats)

A thought is not masked, except that end-of-sequence tokens are excluded while an answer must follow. The state depends on
the tokens alone, so an answer from a previous engine is resumed by passing its tokens to `accept`.
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
from youtu_edge.tool_formats import HERMES, ToolFormat

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_THOUGHTS = {begin.encode(): end.encode() for begin, end in tags.THOUGHTS.items()}


class AnswerGrammar:
    """The state of one answer.

    answer: the grammar of the whole answer, or None. call: the grammar after form.begin in a free answer, or None.
    thought_tokens: ids of <think> and its kin if the answer may begin with a thought. max_token_s: CPU seconds per token;
    some grammars take longer with every token, and all sequences wait.
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
        thought_tokens: frozenset[int] = frozenset(),
        parallel_calls: bool = True,
        max_token_s: float = 0.25,
        form: ToolFormat = HERMES,
    ) -> None:
        self._table = table
        self._token_bytes = token_bytes
        self._answer = answer
        self._call = call
        self._matcher = answer
        self._eos = np.array(sorted(eos), dtype=np.int64)
        self._thought_tokens = thought_tokens
        self._thought_end = tags.THOUGHT_END.encode()
        self._goes_on = parallel_calls and form.may_repeat
        self._form = form
        self._begin, self._prefix = form.begin.encode(), form.prefix.encode()
        self._max_token_s = max_token_s
        self._state: Literal["begin", "thought", "after_thought", "open"] = "thought" if in_thought else "begin"
        self._tail = b""
        """The last bytes of unmasked text, which may hold the beginning of a tag."""
        self.is_complete = False
        """The grammar is satisfied and nothing may follow: the answer ends even without an end-of-sequence token."""

    def constrain(self, logits: Floats) -> Ints | None:
        """Ids allowed next, ascending, or None for all. Raises InvalidRequestError if the grammar is too complex.

        With None, excluded end-of-sequence tokens are set to -inf in `logits`.
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
        if self._state == "begin" and self._thought_tokens:
            return np.union1d(ids, list(self._thought_tokens))
        if self._state == "after_thought":
            return np.union1d(ids, self._table.line_breaks)
        return ids

    def accept(self, token: int) -> bool:
        """Advance by a token other than an end-of-sequence token; returns whether it is part of a call.

        Raises InvalidRequestError as `constrain` does.
        """
        was_call = self._in_call
        self._follow(token)
        return was_call or self._in_call

    @property
    def _in_call(self) -> bool:
        return self._answer is None and self._matcher is not None

    def _follow(self, token: int) -> None:
        data = self._token_bytes(token)
        if self._state == "begin" and token in self._thought_tokens:
            self._begin_thought(data)
        elif self._state == "thought":
            self._think(data)
        elif self._state == "after_thought" and data in LINE_BREAKS:
            self._state = "open"
        elif self._matcher is not None:
            self._state = "open"
            self._consume([token])
        else:
            self._write(data)

    def _begin_thought(self, tag: bytes) -> None:
        self._state, self._tail, self._thought_end = "thought", b"", _THOUGHTS.get(tag, self._thought_end)

    def _think(self, data: bytes) -> None:
        self._tail += data
        _, end, rest = self._tail.partition(self._thought_end)
        self._tail = self._tail[-len(self._thought_end) :]
        if end:
            self._state, self._tail = "after_thought", b""
            if rest.strip():
                self._state = "open"
                if self._matcher is None:
                    self._write(rest)
                else:
                    self._consume(self._table.cut(rest.lstrip()))

    def _write(self, data: bytes) -> None:
        """Advance by unmasked text and look for the beginning of a call."""
        self._tail += data
        if self._state != "open" and self._begins_thought():
            return
        found = self._call_in_tail()
        if found is None or self._call is None:
            return
        rest = found
        matcher = self._call.deep_copy()
        # A token may hold the end of the tag and the beginning of the call. If the grammar rejects that, it is plain text.
        tokens = self._table.cut(rest) if rest else []
        self._tail = b""
        if not tokens or matcher.try_consume_tokens(tokens) == len(tokens):
            self._matcher = matcher

    def _call_in_tail(self) -> bytes | None:
        """What follows the beginning of a call in the last bytes; None without one. Keeps what may still become one."""
        if not self._form.at_start:
            _, begin, rest = self._tail.partition(self._begin)
            if begin:
                return rest
            self._tail = self._tail[-len(self._begin) :]
            return None
        text = self._tail.lstrip().removeprefix(self._prefix)
        if text.startswith(self._begin):
            return text.removeprefix(self._begin)
        if not self._begin.startswith(text) and not self._prefix.startswith(text):
            self._call, self._tail = None, b""  # the answer is text
        return None

    def _begins_thought(self) -> bool:
        """Whether the answer begins with <think> or a prefix of it; models without a token for it write it as text."""
        if self._state != "begin":
            self._state = "open"
            return False
        text = self._tail.lstrip()
        if begun := next((begin for begin in _THOUGHTS if text.startswith(begin)), None):
            self._begin_thought(begun)
            self._think(text[len(begun) :])
            return True
        if any(begin.startswith(text) for begin in _THOUGHTS):
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
        if self._answer is None and self._goes_on:
            self._matcher, self._tail = None, b""
        else:
            self.is_complete = True

    def _check(self, matcher: LLMatcher, begun: float) -> None:
        reason = ""
        if matcher.is_error():
            reason = matcher.get_error().strip().partition("\n")[0]
        elif time.thread_time() - begun > self._max_token_s:
            reason = f"a token took more than {self._max_token_s} s; make the grammar less ambiguous"
        if reason:
            self._table.forget()  # cached grammars may hold many states from earlier answers
            raise InvalidRequestError(f"the answer's grammar failed: {reason}")
