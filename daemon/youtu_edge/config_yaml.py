"""YAML nodes as plain values, and complaints about them in words. Knows no key of the configuration.

The node tree of the composer is used by hand because plain loading loses lines and lets the second of two equal keys win.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args, get_origin

import msgspec
import yaml

EMPTY_TAG = "tag:yaml.org,2002:null"
SYNTAX_ERRORS = (yaml.YAMLError, ValueError)
"""What `compose` and `plain_value` raise for text that cannot be used."""

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "array": "a list",
    "bool": "true or false",
    "null": "nothing",
}

_MAX_DEPTH = 20
"""The schema needs 4 levels. The composer calls itself for each: without a limit text could use up the stack."""


class _Loader(yaml.SafeLoader):
    """Refuses text that is nested deeper than any configuration, with its line."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
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
    loader = _Loader(data)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def plain_value(node: yaml.Node) -> Any:
    """Plain Python value of a node; only scalars and lists of scalars occur in the schema. Raises one of SYNTAX_ERRORS."""
    if isinstance(node, yaml.SequenceNode):
        if not all(isinstance(item, yaml.ScalarNode) for item in node.value):
            raise ValueError("must be a list of plain values")
        return [plain_value(item) for item in node.value]
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("must be a plain value, not a group of keys")
    loader = yaml.SafeLoader("")
    try:
        value = loader.construct_object(node)
    finally:
        loader.dispose()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def problem_line(error: yaml.MarkedYAMLError) -> int:
    """Line, from 1, at which the YAML stops making sense."""
    return error.problem_mark.line + 1 if error.problem_mark else 1


def in_words(error: msgspec.ValidationError, kind: Any) -> str:
    """msgspec's "Expected `int` >= 1" as "must be a whole number >= 1". `kind` is the type that the value should have."""
    if get_origin(kind) is Literal:
        return f"must be {' or '.join(get_args(kind))}"
    text = str(error).partition(" - at ")[0].partition(", got ")[0]
    for kind, words in _WORDS.items():
        text = text.replace(f"`{kind} | null`", f"{words} or nothing").replace(f"`{kind}`", words)
    return text.replace("Expected", "must be")


def shown(node: yaml.Node) -> str:
    """The node's text in quotes, for a message."""
    return repr(node.value) if isinstance(node, yaml.ScalarNode) and node.value else "what is written here"


def one_line(error: BaseException) -> str:
    """A message without line ends."""
    return " ".join(str(error).split())
