"""Splits the streamed text of an answer into thoughts, text and tool calls.

    start ──<think>──> thought ──</think>──> text ──<tool_call>──> call ──</tool_call>──> text
      └────────────────────────────────────────^

<think> is a tag only at the very beginning, <tool_call> only in a request with tools; other models have other tags
(protocol.tags, tool_formats). Text that may become a tag is held back, and so is white space beside tags: it belongs to
the markup and not to the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

from youtu_edge.front.answers.pieces import Piece, Text, Thought, ToolArguments, ToolCallStart
from youtu_edge.front.answers.tool_call_reader import ToolCallReader
from youtu_edge.protocol.tags import THOUGHT_END, THOUGHTS, may_become_thought, thought_of
from youtu_edge.tool_formats import ToolFormat

State = Literal["start", "thought", "text", "call"]


class AnswerSplitter:
    """The state of one answer.

    request_id: the ids of calls are derived from it, so that a replayed answer has the same ones.
    in_thought: the prompt already opened <think>. form: that of tool calls; None in a request without tools.
    """

    def __init__(self, request_id: str = "", *, in_thought: bool = False, form: ToolFormat | None = None) -> None:
        self._request_id = request_id
        self._state: State = "thought" if in_thought else "start"
        self._thought_end = THOUGHT_END
        self._form = form
        """None as soon as no call may follow."""
        self._held = ""
        self._is_beginning = True
        """This state has produced nothing yet, so white space is still trimmed."""
        self._reader: ToolCallReader | None = None
        self._is_announced = False
        self.num_calls = 0

    @property
    def is_text(self) -> bool:
        """Whether the next text belongs to the answer proper, as far as is known."""
        return self._state in ("start", "text")

    def push(self, text: str) -> list[Piece]:
        """The pieces that are certain after more text."""
        self._held += text
        return list(self._advance())

    def finish(self, *, is_cut: bool = False) -> list[Piece]:
        """The text that was held back, at the end of the answer.

        `is_cut`: the answer was cut short. A call without a name, and what may be the beginning of a tag with the white
        space before it, are dropped, so that nothing is shown that the complete answer would not have shown.
        """
        rest, self._held = self._held, ""
        if is_cut:
            rest = rest[: len(rest) - self._size_of_tag(rest)].rstrip()
        if self._state == "thought":
            rest = (rest.lstrip("\n") if self._is_beginning else rest).rstrip("\n")
            return [Thought(rest)] if rest else []
        if self._state == "call":
            assert self._reader is not None
            assert self._form is not None
            is_text = self._reader.name is None and not is_cut
            return [Text(self._form.begin + self._reader.unread)] if is_text else []
        if self.num_calls and not rest.strip():
            return []
        return [Text(rest)] if rest else []

    def _size_of_tag(self, rest: str) -> int:
        """How much of the end of what is held back may be the beginning of a tag."""
        if self._state == "text":
            if self._form is None:
                return 0
            return len(rest) if self._form.at_start else overlap(rest, self._form.begin)
        return max(overlap(rest, tag) for tag in ([self._thought_end] if self._state == "thought" else THOUGHTS))

    def _advance(self) -> Iterator[Piece]:
        steps = {"start": self._start, "thought": self._thought, "text": self._text, "call": self._call}
        before = None
        while self._state != before:
            before = self._state
            yield from steps[before]()

    def _enter(self, state: State, held: str) -> None:
        self._state, self._held, self._is_beginning = state, held, True

    def _start(self) -> Iterator[Piece]:
        begun = self._held.lstrip()
        if tags := thought_of(begun):
            self._thought_end = tags[1]
            self._enter("thought", begun.removeprefix(tags[0]))
        elif not may_become_thought(begun):
            self._enter("text", self._held)
            self._is_beginning = False  # no tag before it: the white space is the model's
        return iter(())

    def _thought(self) -> Iterator[Piece]:
        text = self._held.lstrip("\n") if self._is_beginning else self._held
        before, end, after = text.partition(self._thought_end)
        if not end:
            sure = text[: len(text) - overlap(text, self._thought_end)].rstrip("\n")
            before, self._held = sure, text[len(sure) :]
        if before := before.rstrip("\n"):
            self._is_beginning = False
            yield Thought(before)
        if end:
            self._enter("text", after)

    def _text(self) -> Iterator[Piece]:
        text = self._held.lstrip() if self._is_beginning else self._held
        form = self._form
        if form is not None and form.at_start:
            answer = text.lstrip().removeprefix(form.prefix)
            if answer.startswith(form.begin):
                self._begin_call(answer.removeprefix(form.begin))
                return
            if form.begin.startswith(answer) or form.prefix.startswith(answer):
                self._held = text
                return
            form = self._form = None
        before, begun, after = text.partition(form.begin) if form else (text, "", "")
        self._held = ""
        if form is not None and not begun:
            sure = text[: len(text) - overlap(text, form.begin)].rstrip()
            before, self._held = sure, text[len(sure) :]
        elif begun:
            before = before.rstrip()
        if before:
            self._is_beginning = False
            yield Text(before)
        if begun:
            self._begin_call(after)

    def _begin_call(self, text: str, *, is_next: bool = False) -> None:
        assert self._form is not None
        self._reader, self._is_announced = ToolCallReader(self._form, is_next=is_next), False
        self._enter("call", text)

    def _call_id(self) -> str:
        return f"call_{hashlib.sha256(f'{self._request_id} {self.num_calls}'.encode()).hexdigest()[:24]}"

    def _call(self) -> Iterator[Piece]:
        assert self._reader is not None
        assert self._form is not None
        text, self._held = self._held, ""
        arguments = self._reader.push(text)
        if self._reader.name is not None and not self._is_announced:
            self._is_announced = True
            yield ToolCallStart(self.num_calls, self._call_id(), self._reader.name)
            self.num_calls += 1
        if arguments:
            yield ToolArguments(self.num_calls - 1, arguments)
        if self._reader.is_done:
            if self._reader.name is None:
                yield Text(f"{self._form.begin}{self._reader.unread}{self._form.end}")
            if self._reader.continues:
                self._begin_call(self._reader.rest, is_next=True)
                yield from self._call()
            else:
                self._enter("text", self._reader.rest)


def overlap(text: str, tag: str) -> int:
    """Length of the longest suffix of `text` that is a proper prefix of `tag`."""
    for length in range(min(len(text), len(tag) - 1), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0
