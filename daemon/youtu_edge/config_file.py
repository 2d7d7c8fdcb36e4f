"""Reads YAML configuration files and those they extend; reports every problem in them as `FILE:LINE: message`.

The schema is in config.py. This module is about files, line numbers and precedence:

    default  <  files under `extends`, in order  <  the file itself  <  environment  <  overrides on the command line
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import msgspec
import yaml

from youtu_edge import config_environment
from youtu_edge.config import REMOVED_KEYS, Config
from youtu_edge.config_values import (
    check_board,
    check_host,
    check_network,
    check_origin,
    check_site_name,
    parse_bytes,
    parse_growth,
    parse_restart_rate,
)
from youtu_edge.config_yaml import (
    EMPTY_TAG,
    SYNTAX_ERRORS,
    TEXT_TAG,
    compose,
    in_words,
    one_line,
    plain_value,
    problem_line,
    problem_words,
    shown,
    variable_node,
)
from youtu_edge.errors import ConfigError
from youtu_edge.regular_file import read_regular

EXTENDS = "extends"
"""The one key outside every section: a file, or a list of files, that this one builds on."""
MERGE_KEY = "<<"
_LARGEST_BYTES = 256 * 1024
"""Per file; the shipped one, with its comments, has about ten thousand."""


class LoadedConfig(NamedTuple):
    """A configuration, and where each key that is set comes from: FILE:LINE, the variable, or the override."""

    config: Config
    origins: dict[str, str]


def load_config(
    path: str | Path | None, overrides: Iterable[str] = (), environment: Mapping[str, str] | None = None
) -> Config:
    """Config of a YAML file (None: the defaults) with `section.key=value` overrides applied on top.

    `environment`: variables such as YOUTU_EDGE_SERVICE__PORT, between the two. Raises ConfigError whose message holds one
    line per problem.
    """
    return trace_config(path, overrides, environment).config


def trace_config(
    path: str | Path | None, overrides: Iterable[str] = (), environment: Mapping[str, str] | None = None
) -> LoadedConfig:
    """As `load_config`, with the origin of every value. Raises ConfigError."""
    reader = _Reader()
    if path is not None:
        reader.read_file(Path(path))
    reader.read_environment(environment or {})
    for override in overrides:
        reader.read_override(override)
    if reader.problems:
        raise ConfigError("\n".join(reader.problems))
    config = msgspec.convert(reader.values, type=Config)
    ports = [config.service.port, *config.service.extra_ports]
    if twice := [port for index, port in enumerate(ports) if port in ports[:index]]:
        where = reader.origins["service.extra_ports"]
        raise ConfigError(f'{where}: key "service.extra_ports": {twice[0]} is service.port, or given twice; leave it out')
    return LoadedConfig(config, reader.origins)


def dotted_keys() -> dict[str, Any]:
    """Every valid `section.key` with its type, in the order of the schema."""
    return {
        f"{section}.{key}": kind
        for section, struct in get_type_hints(Config).items()
        for key, kind in get_type_hints(struct, include_extras=True).items()
    }


class _Reader:
    """Collects values, their origins and problems from files and overrides; later values win."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []
        self._types = dotted_keys()
        self._sections = list(get_type_hints(Config))
        self._open: list[Path] = []
        """The files that are being read, outermost first: each extends the next one."""

    def read_file(self, path: Path, named_by: str = "") -> None:
        """`named_by`: FILE:LINE of the `extends` that names the file, for a message when it cannot be read."""
        try:
            data = b"" if str(path) == os.devnull else read_regular(path, _LARGEST_BYTES)  # by convention "no file"
        except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
            self.problems.append(f"{named_by}{path}: cannot be read: {getattr(error, 'strerror', error)}")
            return
        if len(data) > _LARGEST_BYTES:
            self.problems.append(f"{path}:1: larger than {_LARGEST_BYTES >> 10} KiB: not a configuration file")
            return
        try:
            root = compose(data)
        except yaml.MarkedYAMLError as error:
            self.problems.append(f"{path}:{problem_line(error)}: not valid YAML: {problem_words(error)}")
            return
        except SYNTAX_ERRORS as error:
            self.problems.append(f"{path}:1: not valid YAML: {one_line(error)}")
            return
        if root is None or root.tag == EMPTY_TAG:
            return
        entries = list(self._entries(str(path), root, ""))
        self._open.append(path)
        for where, section, body in entries:
            if section == EXTENDS:
                self._extend(where, path, body)
        self._open.pop()
        for where, section, body in entries:
            if section != EXTENDS:
                self._read_section(where, str(path), section, body)

    def read_environment(self, environment: Mapping[str, str]) -> None:
        """Set the keys that variables name; a variable with our prefix that sets none is a problem."""
        for name, problem in config_environment.unknown(environment, self._types):
            self.problems.append(f"{name}: {problem}")
        for name, key, text in config_environment.settings(environment, self._types):
            try:
                self._set(name, key, variable_node(text, self._types[key]))
            except SYNTAX_ERRORS as error:
                kind = "not valid YAML: " if isinstance(error, yaml.YAMLError) else ""
                self.problems.append(f'{name}: key "{key}": {kind}{one_line(error)}')

    def read_override(self, override: str) -> None:
        name, equals, text = override.partition("=")
        where = f"--set {override}"
        if not equals:
            self.problems.append(f"{where}: write section.key=value")
            return
        try:
            # On the command line, nothing after "=" means the empty string if the key is a string.
            tag = TEXT_TAG if self._types.get(name.strip()) is str else EMPTY_TAG
            node = compose(text.encode()) or yaml.ScalarNode(tag, "")
        except SYNTAX_ERRORS as error:
            self.problems.append(f"{where}: not valid YAML: {one_line(error)}")
            return
        self._set(where, name.strip(), node)

    def _extend(self, where: str, path: Path, node: yaml.Node) -> None:
        """Read the files that `extends` of `path` names, in order; a cycle is reported as a problem."""
        try:
            value = plain_value(node, tuple[str, ...] | None)
            names = msgspec.convert([] if value is None else [value] if isinstance(value, str) else value, type=list[str])
        except (msgspec.ValidationError, *SYNTAX_ERRORS):
            self.problems.append(f'{where}: key "{EXTENDS}": must be a file name or a list of file names')
            return
        lines = [item.start_mark.line for item in node.value] if isinstance(node, yaml.SequenceNode) else []
        for index, name in enumerate(names):
            place = f"{path}:{lines[index] + 1}" if lines else where
            target = path.parent / name
            if any(_is_same(target, above) for above in self._open):
                chain = " extends ".join(str(above) for above in [*self._open, target])
                self.problems.append(f'{place}: key "{EXTENDS}": the files extend each other in a cycle: {chain}')
            else:
                self.read_file(target, named_by=f'{place}: key "{EXTENDS}": ')

    def _read_section(self, where: str, file: str, section: str, body: yaml.Node) -> None:
        if section not in self._sections:
            self._unknown(where, section)
        elif body.tag != EMPTY_TAG:  # "model:" with nothing below it: every key was commented out
            for place, key, value in self._entries(file, body, section):
                self._set(place, f"{section}.{key}", value)

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
            if key == MERGE_KEY:
                self.problems.append(f'{where}: key "{key}": YAML merge keys are not supported; use "{EXTENDS}"')
                continue
            if key in seen:
                name = f"{section}.{key}" if section else key
                self.problems.append(f'{where}: key "{name}": given twice, first on line {seen[key]}')
                continue
            seen[key] = line
            yield where, key, value_node

    def _set(self, where: str, name: str, node: yaml.Node) -> None:
        if name not in self._types:
            self._unknown(where, name)
            return
        section, _, key = name.partition(".")
        try:
            value = plain_value(node, self._types[name])
            self.values.setdefault(section, {})[key] = msgspec.convert(value, type=self._types[name])
            self.origins[name] = where
            _check_syntax(name, value)
        except msgspec.ValidationError as error:
            self.problems.append(f'{where}: key "{name}": {in_words(error, self._types[name])}, not {shown(node)}')
        except SYNTAX_ERRORS as error:
            self.problems.append(f'{where}: key "{name}": {one_line(error)}')

    def _unknown(self, where: str, name: str) -> None:
        if name in REMOVED_KEYS:
            self.problems.append(f'{where}: key "{name}": {REMOVED_KEYS[name]}')
            return
        last = name.rpartition(".")[2]
        moved = [full for full in self._types if full.endswith(f".{last}")]  # a valid key in the wrong section, or in none
        guesses = moved or difflib.get_close_matches(name, [*self._types, *self._sections, EXTENDS], 1)
        hint = f'; did you mean "{guesses[0]}"?' if guesses else ""
        self.problems.append(f'{where}: key "{name}": unknown{hint}')


def _is_same(one: Path, other: Path) -> bool:
    """Whether both paths lead to the same file; False if either does not exist."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _check_syntax(name: str, value: Any) -> None:
    """Check values that have a syntax of their own. Raises ValueError."""
    if (name == "memory.limit" and value) or name.endswith("max_size"):
        parse_bytes(value)
    elif name == "service.host":
        check_host(value)
    elif name == "service.allowed_hosts":
        for site_name in value:
            check_site_name(site_name)
    elif name == "service.trusted_proxies":
        for network in value:
            check_network(network)
    elif name == "service.board" and value:
        check_board(value)
    elif name == "service.cors_origins":
        for origin in value:
            check_origin(origin)
    elif name == "memory.max_growth" and value:
        parse_growth(value)
    elif name == "service.max_restart_rate":
        parse_restart_rate(value)
