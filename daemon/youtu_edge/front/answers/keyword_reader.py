"""Reads the streamed arguments of a call in Python and writes them as JSON, without evaluating anything.

    city="Oslo", days=[1, 2], wind=True)        {"city": "Oslo", "days": [1, 2], "wind": true}
    **{"a key": 1})                             {"a key": 1}

    arguments  name = literal, …  |  ** {…}
    literal    string | number | True | False | None | [literal, …] | {string: literal, …}

`true`, `false` and `null` are literals too: chat templates write the arguments of earlier calls in JSON. Anything else,
such as another name or a call, ends the reading, and what has been written stays.
"""

from __future__ import annotations

import json
import re
from typing import Literal

from youtu_edge.front.answers.string_reader import StringReader
from youtu_edge.keyword_arguments import KEYWORD, MAX_KEYWORD

MAX_DEPTH = 100
"""Of brackets within brackets."""
MAX_ATOM = MAX_KEYWORD
"""Characters of a name or a number."""

_SPACE = re.compile(r"[ \t\r\n]*")
_NAME = re.compile(rf"({KEYWORD})[ \t\r\n]*(=?)")
_OBJECT = re.compile(r"\*\*[ \t\r\n]*(?=\{)")
_OBJECT_BEGUN = re.compile(r"\*(?:\*[ \t\r\n]*)?")
_ATOM = re.compile(r"[\w.+-]+")
_NUMBER = re.compile(r"([+-]?)(\d+(?:_\d+)*)?(?:\.(\d+(?:_\d+)*)?)?([eE][+-]?\d+)?", re.ASCII)
_WORDS = {"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"}
_BRACKETS = {"call": ("{", ")"), "object": ("", ")"), "list": ("[", "]"), "dict": ("{", "}")}
"""What is written where a container begins, and what ends it in Python; object: the call around `**`."""
_WRITTEN_END = {"call": "}", "object": "", "list": "]", "dict": "}"}

Container = Literal["call", "object", "list", "dict"]
State = Literal["item", "value", "key", "text", "colon", "separator"]
"""item: an item or the container's end. key, text: within a string. separator: a comma or the container's end."""


class KeywordReader:
    """The state of one call's arguments."""

    def __init__(self) -> None:
        self.is_done = False
        self.is_broken = False
        """What follows is not in the form; the JSON that was written is not complete."""
        self.rest = ""
        """Once it is done, the text that begins with the closing parenthesis; once it is broken, what was not read."""
        self._held = ""
        self._at = 0
        """Up to here `_held` has been read."""
        self._state: State = "item"
        self._containers: list[Container] = ["call"]
        self._is_empty = True
        """Nothing has been written in the innermost container."""
        self._string = StringReader('"')

    def push(self, text: str) -> str:
        """More text behind the opening parenthesis; the JSON of what is certain."""
        self._held = self._held[self._at :] + text
        self._at = 0
        written = []
        while not (self.is_done or self.is_broken) and (piece := self._step()) is not None:
            written.append(piece)
        if self.is_done or self.is_broken:
            self.rest = self._held[self._at :]
        return "".join(written)

    def _step(self) -> str | None:
        """The JSON of the next element; None if there is none yet, or at the end."""
        if self._state in ("key", "text"):
            return self._within_string()
        space = _SPACE.match(self._held, self._at)
        self._at = space.end() if space else self._at
        if self._at == len(self._held):
            return None
        if self._state == "item":
            return self._item()
        if self._state == "value":
            return self._value()
        if self._state == "colon":
            return self._mark(":", ": ", "value")
        if self._begins(","):
            return self._mark(",", "", "item")
        return self._end()

    def _begins(self, text: str) -> bool:
        return self._held.startswith(text, self._at)

    def _break(self) -> str | None:
        self.is_broken = True
        return None

    def _mark(self, mark: str, written: str, state: State) -> str | None:
        if not self._begins(mark):
            return self._break()
        self._at, self._state = self._at + 1, state
        return written

    def _end(self) -> str | None:
        """The end of the innermost container."""
        container = self._containers[-1]
        begin, end = _BRACKETS[container]
        if not self._begins(end):
            return self._break()
        written = (begin if container == "call" and self._is_empty else "") + _WRITTEN_END[container]
        self._containers.pop()
        self._is_empty, self._state = False, "separator"
        if self._containers:
            self._at += 1
        else:
            self.is_done = True
        return written

    def _item(self) -> str | None:
        container = self._containers[-1]
        if self._begins(_BRACKETS[container][1]):
            return self._end()
        if container == "call":
            return self._keyword()
        if container == "object":
            return self._break()
        comma = "" if self._is_empty else ", "
        written = self._value() if container == "list" else self._begin_string("key")
        return None if written is None else comma + written

    def _keyword(self) -> str | None:
        if self._is_empty and self._begins("*"):
            return self._object()
        found = _NAME.match(self._held, self._at)
        if found is None:
            return self._break()
        name, equals = found.groups()
        if len(name) > MAX_ATOM or (not equals and found.end() < len(self._held)):
            return self._break()
        if not equals:
            return None
        self._at, self._state = found.end(), "value"
        begin, self._is_empty = "{" if self._is_empty else ", ", False
        return f"{begin}{json.dumps(name, ensure_ascii=False)}: "

    def _object(self) -> str | None:
        """A dictionary with all arguments."""
        if found := _OBJECT.match(self._held, self._at):
            self._containers[-1], self._at = "object", found.end()
            return self._value()
        return None if _OBJECT_BEGUN.fullmatch(self._held, self._at) else self._break()

    def _value(self) -> str | None:
        first = self._held[self._at]
        if first in "\"'":
            return self._begin_string("text")
        if first in "[{":
            return self._begin("list" if first == "[" else "dict")
        found = _ATOM.match(self._held, self._at)
        if found is None or found.end() - self._at > MAX_ATOM:
            return self._break()
        if found.end() == len(self._held):
            return None
        written = _WORDS.get(found[0]) or _number(found[0])
        if written is None:
            return self._break()
        self._at, self._state, self._is_empty = found.end(), "separator", False
        return written

    def _begin(self, container: Container) -> str | None:
        if len(self._containers) > MAX_DEPTH:
            return self._break()
        self._containers.append(container)
        self._at, self._state, self._is_empty = self._at + 1, "item", True
        return _BRACKETS[container][0]

    def _begin_string(self, state: State) -> str | None:
        mark = self._held[self._at]
        if mark not in "\"'":
            return self._break()
        if len(self._held) - self._at < 3 and self._held.endswith(mark):
            return None  # it may become three
        quote = mark * 3 if self._begins(mark * 3) else mark
        self._string, self._state, self._is_empty = StringReader(quote), state, False
        self._at += len(quote)
        return '"'

    def _within_string(self) -> str | None:
        written, self._at = self._string.read(self._held, self._at)
        if self._string.is_broken:
            self._break()
        elif self._string.is_done:
            self._state = "colon" if self._state == "key" else "separator"
            written += '"'
        elif not written:
            return None
        return written


def _number(text: str) -> str | None:
    """A Python number in JSON; None for another word."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, fraction, exponent = found.groups()
    if whole is None and fraction is None:
        return None
    digits = (whole or "").replace("_", "").lstrip("0") or "0"
    behind = f".{(fraction or '0').replace('_', '')}" if "." in text else ""
    return f"{sign.replace('+', '')}{digits}{behind}{exponent or ''}"
