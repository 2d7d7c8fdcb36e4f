"""YAML nodes as plain values, and error messages about them.

Works on the composer's node tree, because plain loading drops line numbers and lets the second of two equal keys win. A
scalar is read as the type of its key, not by the rules of YAML 1.1: 010000 is ten thousand and not octal, 5e-1 is a number
and 12:30 is not, and off, 7 or 2024-01-01 are strings where the key is a string.
"""

from __future__ import annotations

import codecs
import math
import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import yaml
from yaml.reader import Reader

EMPTY_TAG = "tag:yaml.org,2002:null"
TEXT_TAG = "tag:yaml.org,2002:str"
SYNTAX_ERRORS = (yaml.YAMLError, ValueError)
"""What `compose` and `plain_value` raise for text that cannot be used."""

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "array": "a list",
    "bool": "true or false",
    "null": "nothing",
}

_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "timestamp", "merge", "value")
}
"""Tags that YAML gives to a scalar without an explicit one."""
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_WHOLE = re.compile(rf"[-+]?{_DIGITS}")
_HEXADECIMAL = re.compile(r"[-+]?0x[0-9a-fA-F]+")
_NUMBER = re.compile(rf"[-+]?(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.?(?:inf(?:inity)?|nan)", re.IGNORECASE)
_MOST_DIGITS = 300
"""No number of the schema has more, and Python rejects very long ones."""
_LARGEST = 2**63 - 1

_HINTS = {
    "mapping values are not allowed": 'a string that contains ": " or ends with ":" needs quotes, such as "::"',
    "found character '\\t'": "indent with spaces, not tabs",
    "found character": "a string that begins with it needs quotes",
    "expected alphabetic or numeric character": "a string that begins with * or & needs quotes",
}
_MAX_DEPTH = 20
"""The schema needs 4 levels. The composer recurses: without a limit a file could exhaust the stack."""


class _Loader(yaml.SafeLoader):
    """Rejects text that is nested deeper than any configuration, with its line."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self._depth == _MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def compose(data: bytes) -> yaml.Node | None:
    """The node tree of one YAML document; None when it is empty. Raises one of SYNTAX_ERRORS."""
    loader = _Loader(_text(data))
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def variable_node(text: str, kind: Any) -> yaml.Node:
    """The node of an environment variable: a string is taken as it is, without YAML's quotes; [a, b] is a list.

    Raises one of SYNTAX_ERRORS.
    """
    kinds = _kinds(kind)
    if str in kinds and not (tuple in kinds and text.startswith("[")):
        if text.encode(errors="ignore").decode() != text:
            raise ValueError("must be UTF-8")
        return yaml.ScalarNode(TEXT_TAG, text)
    return compose(text.encode()) or yaml.ScalarNode(EMPTY_TAG, "")


def plain_value(node: yaml.Node, kind: Any) -> Any:
    """Plain Python value of a node whose key has the type `kind`; the schema has only scalars and lists of scalars.

    What cannot be read as `kind` stays a string, for the schema to reject. Raises one of SYNTAX_ERRORS.
    """
    kinds = _kinds(kind)
    if isinstance(node, yaml.SequenceNode):
        if not all(isinstance(item, yaml.ScalarNode) for item in node.value):
            raise ValueError("must be a list of plain values")
        return [_scalar(item, _item_kinds(kind) or {str}) for item in node.value]
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError('must be a plain value, not a group of keys; a string that contains ": " needs quotes')
    return _scalar(node, kinds)


def problem_words(error: yaml.MarkedYAMLError) -> str:
    """What is wrong with the YAML, with a hint for the common mistakes."""
    problem = one_line(error.problem or error.context or "")
    hint = next((hint for beginning, hint in _HINTS.items() if problem.startswith(beginning)), "")
    return f"{problem}; {hint}" if hint else problem


def problem_line(error: yaml.MarkedYAMLError) -> int:
    """Line, from 1, at which the YAML stops making sense."""
    return error.problem_mark.line + 1 if error.problem_mark else 1


def in_words(error: msgspec.ValidationError, kind: Any) -> str:
    """msgspec's "Expected `int` >= 1" as "must be a whole number >= 1". `kind` is the type that the value should have."""
    if get_origin(kind) is Literal:
        return f"must be {' or '.join(get_args(kind))}"
    text = str(error).partition(" - at ")[0].partition(", got ")[0]
    if text.startswith("Invalid enum value"):
        allowed = [str(word) for each in get_args(kind) if get_origin(each) is Literal for word in get_args(each)]
        return f"must be {' or '.join([*allowed, 'a list'])}"
    for kind, words in _WORDS.items():
        text = text.replace(f"`{kind} | null`", f"{words} or nothing").replace(f"`{kind}`", words)
    return text.replace("Expected", "must be")


def shown(node: yaml.Node) -> str:
    """The node's text in quotes, for a message."""
    return repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list"


def one_line(error: object) -> str:
    """A message without line ends."""
    return " ".join(str(error).split())


def _text(data: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark. Raises YAMLError with the line of the first bad character."""
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        problem = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise _problem(data[: error.start].count(b"\n"), problem) from None
    if found := Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, found.start())
        raise _problem(line, f"the character U+{ord(found.group()):04X} is not allowed; save the file as UTF-8 text")
    return text


def _problem(line: int, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=yaml.Mark("", 0, line, 0, None, 0))


def _kinds(kind: Any) -> set[Any]:
    """Which of int, float, bool, str, tuple and NoneType a type of the schema allows."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _kinds(get_args(kind)[0])
    if origin in (Union, UnionType):
        return set().union(*map(_kinds, get_args(kind)))
    return {str} if origin is Literal else {origin or kind}


def _item_kinds(kind: Any) -> set[Any]:
    """The same for the items of a list; empty if the type allows none."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is tuple:
        return _kinds(parts[0])
    nested = parts[:1] if origin is Annotated else parts if origin in (Union, UnionType) else ()
    return set().union(*map(_item_kinds, nested))


def _scalar(node: yaml.ScalarNode, kinds: set[Any]) -> Any:
    text, is_quoted = str(node.value), node.style is not None
    if node.tag not in _PLAIN_TAGS:
        raise ValueError(
            f"tags such as {node.tag.replace('tag:yaml.org,2002:', '!!')} are not supported; write the plain value"
        )
    if node.tag == EMPTY_TAG and not is_quoted:
        if NoneType in kinds:
            return None
        wanted = 'a string ("" for empty)' if str in kinds else "one"
        raise ValueError(f"has no value; write {wanted}, or delete the line")
    if str in kinds or tuple in kinds:
        return text
    value = _truth_or_number(text, kinds)
    if is_quoted and not isinstance(value, str):
        raise ValueError(f"write {text} without quotes")
    return value


def _truth_or_number(text: str, kinds: set[Any]) -> bool | int | float | str:
    if bool in kinds:
        return _TRUTH.get(text.lower(), text)
    if _WHOLE.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        whole = int(text[:_MOST_DIGITS].rstrip("_"), 16 if "x" in text else 10)
        if abs(whole) > _LARGEST and float not in kinds:
            raise ValueError(f"must be a whole number of at most {_LARGEST}")
        return whole
    if float not in kinds:
        return text
    value = float(text) if _NUMBER.fullmatch(text) else None
    if _NOT_FINITE.fullmatch(text) or (value is not None and not math.isfinite(value)):
        raise ValueError("must be a finite number")
    return text if value is None else value
