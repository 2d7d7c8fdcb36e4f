"""Reads one streamed tool call: {"name": NAME, "arguments": ARGUMENTS}</tool_call>.

The name is known when the arguments begin; the arguments are passed on character by character:

    {"name": "get_weather", "arguments": {"city": "Oslo"}}</tool_call>
    ^ held until here                    ^ streamed      ^ skipped
"""

from __future__ import annotations

import json
import re

from youtu_edge.protocol.tags import CALL_END

_HEAD = re.compile(r'\n?\{"name": ("[A-Za-z0-9_-]+"), "arguments": (?=\S)')
"""Exactly what the engine's grammar produces: text that begins otherwise was not constrained and is not a call."""


class ToolCallReader:
    """The state of one call. `push` returns new argument text; `name` is known before the first of it."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.is_done = False
        self.rest = ""
        """Text after the end of the call."""
        self._held = ""
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._arguments_done = False

    @property
    def unread(self) -> str:
        """Text that is not part of a valid call: all of it, as long as the name is unknown."""
        return "" if self.name is not None else self._held

    def push(self, text: str) -> str:
        """More of the call; the part of the arguments that is in it."""
        self._held += text
        if self.name is None:
            head = _HEAD.match(self._held)
            if head is None:
                self._look_for_end()
                return ""
            self.name = json.loads(head.group(1), strict=False)
            self._held = self._held[head.end() :]
        arguments = ""
        if not self._arguments_done:
            cut = self._scan(self._held)
            arguments, self._held = self._held[:cut], self._held[cut:]
        if self._arguments_done:
            self._look_for_end()
        return arguments

    def _look_for_end(self) -> None:
        before, end, after = self._held.partition(CALL_END)
        if end:
            self.is_done, self._held, self.rest = True, before, after

    def _scan(self, text: str) -> int:
        """Length of the arguments within `text`: up to the bracket that closes them, or all of it."""
        for index, character in enumerate(text):
            if self._in_string:
                if self._escaped:
                    self._escaped = False
                elif character == "\\":
                    self._escaped = True
                elif character == '"':
                    self._in_string = False
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    self._arguments_done = True
                    return index + 1 if self._depth == 0 else index
        return len(text)
