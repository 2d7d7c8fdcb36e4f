"""Finds the end of a streamed JSON value, which is passed on as it is written."""

from __future__ import annotations


class JsonReader:
    """The arguments of a call that are a JSON object."""

    is_broken = False
    """Text that is no JSON is passed on too."""

    def __init__(self) -> None:
        self.is_done = False
        self.rest = ""
        """Once it is done: the text behind the value."""
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def push(self, text: str) -> str:
        """More text; the part of the value that is in it."""
        cut = self._scan(text)
        self.rest = text[cut:]
        return text[:cut]

    def _scan(self, text: str) -> int:
        """Length of the value within `text`: up to the bracket that closes it, or all of it."""
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
                    self.is_done = True
                    return index + 1 if self._depth == 0 else index
        return len(text)
