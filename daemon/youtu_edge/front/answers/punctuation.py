"""Repairs the punctuation of Chinese text as it streams: small models write 今天天气很好 我们去公园玩 without any.

Only what directly follows a Chinese character is ever changed:

    spaces between two of them           今天很好 我们走     ->  今天很好，我们走
    , . ! ? : ; before one, or an end    你好, 我是小优.     ->  你好，我是小优。
    the end of a complete answer         我们去公园玩        ->  我们去公园玩。

so numbers (3.14), Latin words and what is written between them are unchanged. So are code, tables, headings, URLs and JSON.
Works character by character, so that the result does not depend on how the text is chunked; repairing it again changes
nothing.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from youtu_edge.front.answers.pieces import Ended, Piece, Silence, Text

_FULL_WIDTH = {",": "，", ".": "。", "!": "！", "?": "？", ":": "：", ";": "；"}
_OPENING = frozenset("“‘《〈（「『【")
_URL_ENDS = frozenset("，。！？：；、“”‘’《》（）【】「」")
_LIST_ITEM = re.compile(r"\s*(?:[-*+•]|\(?\d{1,3}[.)、）])")
_INDENTED = re.compile(r" {4}|\t")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_JSON = re.compile(r"\{|\[\s*[\[{\"]")

_MAX_HELD = 64
"""White space of this length after a character is layout, and is no longer held back."""
_MAX_LINE = 80
"""Characters kept of a line: enough to recognise what kind of line it is."""


class PunctuationRepair:
    """The state of one text."""

    def __init__(self) -> None:
        self._is_behind_hanzi = False
        self._held = ""
        """After a Chinese character: white space, or one mark and white space, whose meaning depends on what follows."""
        self._begin = ""
        """The first characters that are not white space: JSON is recognised by them."""
        self._line = ""
        self._is_list_item = False
        """Whether the last Chinese character belongs to an item of a list, which needs no full stop."""
        self._fence = ""
        self._ticks = 0
        self._code_ticks = 0
        """Length of the run of backticks that opened the code span we are in, 0 outside."""
        self._recent = ""
        self._in_url = False

    def push(self, text: str) -> str:
        """What is certain after more text."""
        return "".join(map(self._push, text))

    def finish(self, *, is_complete: bool) -> str:
        """What was held back. A complete text gets its full stop; one that was cut off is left as it is."""
        held, self._held = self._held, ""
        is_behind, self._is_behind_hanzi = self._is_behind_hanzi, False
        if not is_complete:
            return held
        if held[:1] in _FULL_WIDTH:
            return _FULL_WIDTH[held[0]] + held[1:]
        return f"。{held}" if is_behind and not self._is_list_item else held

    def _push(self, character: str) -> str:
        decided = ""
        if self._held:
            if character.isspace() and len(self._held) < _MAX_HELD:
                self._held += character
                self._note(character)
                return ""
            decided, self._held = _decide(self._held, character), ""
            self._is_behind_hanzi = False
        self._note(character)
        if is_hanzi(character):
            self._is_behind_hanzi = self._is_prose()
            self._is_list_item = _LIST_ITEM.match(self._line) is not None
        elif self._is_behind_hanzi and (character in _FULL_WIDTH or character.isspace()):
            self._held = character
            return decided
        else:
            self._is_behind_hanzi = False
        return decided + character

    def _is_prose(self) -> bool:
        if self._fence or self._code_ticks or self._in_url or _JSON.match(self._begin):
            return False
        return self._line.lstrip()[:1] not in ("#", "|") and not _INDENTED.match(self._line)

    def _note(self, character: str) -> None:
        """Follow the structure of the text: its first characters, lines, fences, code spans and URLs."""
        if len(self._begin) < 2 and not character.isspace():
            self._begin += character
        if character == "`":
            self._ticks += 1
        elif self._ticks:
            self._end_of_ticks()
        self._recent = (self._recent + character)[-4:]
        if self._recent.endswith("://") or self._recent == "www.":
            self._in_url = True
        elif character.isspace() or character in _URL_ENDS:
            self._in_url = False
        if character == "\n":
            self._end_of_line()
        elif len(self._line) < _MAX_LINE:
            self._line += character

    def _end_of_ticks(self) -> None:
        if not self._code_ticks:
            self._code_ticks = self._ticks
        elif self._code_ticks == self._ticks:
            self._code_ticks = 0
        self._ticks = 0

    def _end_of_line(self) -> None:
        line, self._line = self._line, ""
        if self._fence:
            if line.strip().startswith(self._fence) and not line.strip().strip(self._fence[0]):
                self._fence, self._code_ticks = "", 0
        elif found := _FENCE.match(line):
            self._fence, self._code_ticks = found.group(1), 0
        elif not line.strip():  # code spans end with their paragraph
            self._code_ticks = 0


def is_hanzi(character: str) -> bool:
    """Whether it is a Chinese character: the ideographs of all Unicode blocks, and 〇."""
    return (
        "\u4e00" <= character <= "\u9fff"
        or "\u3400" <= character <= "\u4dbf"
        or "\uf900" <= character <= "\ufaff"
        or "\U00020000" <= character <= "\U0003ffff"
        or character == "〇"
    )


def repair(text: str, *, is_complete: bool = True) -> str:
    """A whole text at once."""
    state = PunctuationRepair()
    return state.push(text) + state.finish(is_complete=is_complete)


async def repaired(pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """The pieces of an answer with the punctuation of its text repaired; thoughts and tool calls stay as they are."""
    state = PunctuationRepair()
    async for piece in pieces:
        if isinstance(piece, Text):
            text = state.push(piece.text)
            if text or piece.logprobs:
                yield Text(text, piece.logprobs)
            continue
        if not isinstance(piece, Silence):
            is_complete = isinstance(piece, Ended) and piece.reason == "stop"
            if rest := state.finish(is_complete=is_complete):
                yield Text(rest)
        yield piece


def _decide(held: str, follower: str) -> str:
    """What becomes of the marks and spaces between a Chinese character and `follower`."""
    mark = held[0] if held[0] in _FULL_WIDTH else ""
    spaces = held[len(mark) :]
    if "\n" in spaces:
        return _FULL_WIDTH.get(mark, "") + spaces
    if mark and (is_hanzi(follower) or follower in _OPENING):
        return _FULL_WIDTH[mark]
    return "，" if not mark and is_hanzi(follower) else held
