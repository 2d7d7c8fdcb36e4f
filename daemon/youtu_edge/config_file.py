"""Reads the YAML configuration file and reports every problem in it as `FILE:LINE: message`.

The schema is config.py; this module knows YAML and lines, and no meaning of any key beyond its type. The node tree of the
YAML composer is walked by hand because plain loading loses lines and lets the second of two equal keys win.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import yaml

from youtu_edge.config import Config, parse_bytes, parse_restart_rate
from youtu_edge.errors import ConfigError

_EMPTY_TAG = "tag:yaml.org,2002:null"
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "array": "a list",
    "bool": "true or false",
    "null": "nothing",
}


def load_config(path: str | Path | None, overrides: Iterable[str] = ()) -> Config:
    """Config of a YAML file (None: the defaults) with `section.key=value` overrides applied on top.

    Raises ConfigError whose message holds one line per problem.
    """
    reader = _Reader()
    if path is not None:
        reader.read_file(Path(path))
    for override in overrides:
        reader.read_override(override)
    if reader.problems:
        raise ConfigError("\n".join(reader.problems))
    return msgspec.convert(reader.values, type=Config)


def dotted_keys() -> dict[str, Any]:
    """Every valid `section.key` with its type, in the order of the schema."""
    return {
        f"{section}.{key}": kind
        for section, struct in get_type_hints(Config).items()
        for key, kind in get_type_hints(struct, include_extras=True).items()
    }


class _Reader:
    """Collects values and problems over a file and its overrides."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.problems: list[str] = []
        self._types = dotted_keys()
        self._sections = list(get_type_hints(Config))

    def read_file(self, path: Path) -> None:
        try:
            root = _compose(path.read_bytes())
        except OSError as error:
            self.problems.append(f"{path}: cannot be read: {error.strerror}")
            return
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self.problems.append(f"{path}:{line}: not valid YAML: {error.problem or error.context}")
            return
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            self.problems.append(f"{path}:1: not valid YAML: {_one_line(error)}")
            return
        if root is None or root.tag == _EMPTY_TAG:
            return
        for where, section, body in self._entries(str(path), root, ""):
            if section not in self._sections:
                self._unknown(where, section)
                continue
            if body.tag == _EMPTY_TAG:  # "model:" with nothing below it: every key was commented out
                continue
            for place, key, value in self._entries(str(path), body, section):
                self._set(place, f"{section}.{key}", value)

    def read_override(self, override: str) -> None:
        name, equals, text = override.partition("=")
        where = f"--set {override}"
        if not equals:
            self.problems.append(f"{where}: write section.key=value")
            return
        try:
            node = _compose(text.encode()) or yaml.ScalarNode(_EMPTY_TAG, "")
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            self.problems.append(f"{where}: not valid YAML: {_one_line(error)}")
            return
        self._set(where, name.strip(), node)

    def _entries(self, file: str, node: yaml.Node, section: str) -> Iterator[tuple[str, str, yaml.Node]]:
        """(FILE:LINE, key, value node) of a mapping; duplicates and non-mappings become problems."""
        if not isinstance(node, yaml.MappingNode):
            what = f'"{section}"' if section else "the file"
            self.problems.append(f"{file}:{node.start_mark.line + 1}: {what} must hold keys and values (key: value)")
            return
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            where = f"{file}:{line}"
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(f"{where}: a key must be a word")
                continue
            key = str(key_node.value)
            if key in seen:
                name = f"{section}.{key}" if section else key
                self.problems.append(f'{where}: key "{name}": given twice, first in line {seen[key]}')
                continue
            seen[key] = line
            yield where, key, value_node

    def _set(self, where: str, name: str, node: yaml.Node) -> None:
        if name not in self._types:
            self._unknown(where, name)
            return
        section, _, key = name.partition(".")
        try:
            value = _value(node)
            self.values.setdefault(section, {})[key] = msgspec.convert(value, type=self._types[name])
            _check_syntax(name, value)
        except msgspec.ValidationError as error:
            self.problems.append(f'{where}: key "{name}": {_explain(error)}, not {_shown(node)}')
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            self.problems.append(f'{where}: key "{name}": {_one_line(error)}')

    def _unknown(self, where: str, name: str) -> None:
        last = name.rpartition(".")[2]
        moved = [full for full in self._types if full.endswith(f".{last}")]  # a right key in the wrong section, or in none
        guesses = moved or difflib.get_close_matches(name, [*self._types, *self._sections], 1)
        hint = f'; did you mean "{guesses[0]}"?' if guesses else ""
        self.problems.append(f'{where}: key "{name}": unknown{hint}')


def _compose(data: bytes) -> yaml.Node | None:
    loader = yaml.SafeLoader(data)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _value(node: yaml.Node) -> Any:
    """Plain Python value of a node; only scalars and lists of scalars occur in the schema."""
    if isinstance(node, yaml.SequenceNode):
        if not all(isinstance(item, yaml.ScalarNode) for item in node.value):
            raise ValueError("must be a list of plain values")
        return [_value(item) for item in node.value]
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


def _check_syntax(name: str, value: Any) -> None:
    """Texts that have a grammar of their own. Raises ValueError."""
    if name == "memory.limit" and value:
        parse_bytes(value)
    elif name == "service.max_restart_rate":
        parse_restart_rate(value)


def _explain(error: msgspec.ValidationError) -> str:
    """msgspec's "Expected `int` >= 1" as "must be a whole number >= 1"."""
    text = str(error).partition(" - at ")[0].partition(", got ")[0]
    if text.startswith("Invalid enum") or "matching regex" in text:
        return text[0].lower() + text[1:]
    for kind, words in _WORDS.items():
        text = text.replace(f"`{kind} | null`", f"{words} or nothing").replace(f"`{kind}`", words)
    return text.replace("Expected", "must be")


def _shown(node: yaml.Node) -> str:
    return repr(node.value) if isinstance(node, yaml.ScalarNode) and node.value else "what is written here"


def _one_line(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return " ".join(str(error).split())
