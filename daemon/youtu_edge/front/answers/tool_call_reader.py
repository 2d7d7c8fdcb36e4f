"""Reads one streamed tool call: what follows the beginning of a call, in one of the forms of tool_formats.

The name is known when the arguments begin; the arguments are passed on character by character:

    {"name": "get_weather", "arguments": {"city": "Oslo"}}</tool_call>
    ^ held until here                    ^ streamed      ^ skipped
"""

from __future__ import annotations

import functools
import re

from youtu_edge.front.answers.json_reader import JsonReader
from youtu_edge.front.answers.keyword_reader import KeywordReader
from youtu_edge.tool_formats import HERMES, CallList, ToolFormat


class ToolCallReader:
    """The state of one call. `push` returns new argument text; `name` is known before the first of it.

    is_next: it follows another call of the same list.
    """

    def __init__(self, form: ToolFormat = HERMES, *, is_next: bool = False) -> None:
        self.name: str | None = None
        self.is_done = False
        self.rest = ""
        """Text after the end of the call."""
        self.continues = False
        """`rest` begins with the next call of the same list."""
        self._form = form
        self._head = _head(form, is_next)
        self._held = ""
        self._arguments = KeywordReader() if form.has_keywords else JsonReader()

    @property
    def unread(self) -> str:
        """Text that is not part of a valid call: all of it, as long as the name is unknown."""
        return "" if self.name is not None else self._held

    def push(self, text: str) -> str:
        """More of the call; the part of the arguments that is in it."""
        self._held += text
        if self.name is None:
            head = self._head.match(self._held)
            if head is None:
                self._look_for_tag()
                return ""
            self.name = head.group(1)
            self._held = self._held[head.end() :]
        arguments = ""
        if not (self._arguments.is_done or self._arguments.is_broken):
            arguments = self._arguments.push(self._held)
            self._held = self._arguments.rest
        if self._arguments.is_done:
            self._look_for_end()
        elif self._arguments.is_broken:
            self._look_for_tag()
        return arguments

    def _look_for_end(self) -> None:
        """What comes behind the arguments: closing, then the next call of a list, or the end."""
        form = self._form
        if form.calls is None and form.end:
            self._look_for_tag()
            return
        behind = self._held.lstrip()
        if not behind.startswith(form.closing):
            return
        behind = behind.removeprefix(form.closing)
        if form.calls is not None:
            between, close = _list_patterns(form.calls)
            if separator := between.match(behind):
                self.is_done, self.continues, self.rest = True, True, behind[separator.end() :]
                return
            closed = close.match(behind)
            if closed is None:
                return
            behind = behind[closed.end() :]
            _, end, after = behind.partition(form.end) if form.end else ("", "]", behind)
            if not end:
                return
            behind = after
        self.is_done, self._held, self.rest = True, "", behind

    def _look_for_tag(self) -> None:
        if not self._form.end:
            return
        before, end, after = self._held.partition(self._form.end)
        if end:
            self.is_done, self._held, self.rest = True, before, after


@functools.cache
def _head(form: ToolFormat, is_next: bool) -> re.Pattern[str]:
    """Exactly what the engine's grammar produces: text that begins otherwise was not constrained and is not a call."""
    before = ("" if is_next else form.calls.begin_pattern) if form.calls else r"\n?"
    return re.compile(rf"{before}{re.escape(form.opening)}([A-Za-z0-9_-]+){re.escape(form.middle)}(?=\S)")


@functools.cache
def _list_patterns(calls: CallList) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What is between two calls, as soon as the second has begun, and the end of the list."""
    between, end = (re.escape(text.strip()) for text in (calls.between, calls.end))
    return re.compile(rf"\s*{between}\s*(?=[\w{{])"), re.compile(rf"\s*{end}")
