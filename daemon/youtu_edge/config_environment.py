"""Settings by environment variables: YOUTU_EDGE_SERVICE__PORT=8081 sets `service.port`.

    YOUTU_EDGE_  SERVICE  __  PORT        two underscores stand for the dot, because keys have single ones
                 section      key

Every other variable with this prefix is a mistake, except those of the table below and the ones that Docker and Kubernetes
set by themselves for a service called youtu-edge.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from youtu_edge.config import REMOVED_KEYS

PREFIX = "YOUTU_EDGE_"
_DOT = "__"

OTHERS = {
    "YOUTU_EDGE_MODELS": "compose.yaml",
    "YOUTU_EDGE_MODEL": "compose.yaml",
    "YOUTU_EDGE_MEMORY": "compose.yaml",
    "YOUTU_EDGE_IMAGE": "config/fleet/compose.yaml",
    "YOUTU_EDGE_NIGHTLY": "tests/containers",
    "YOUTU_EDGE_FLEET_REQUESTS": "tests/fleet",
    "YOUTU_EDGE_KILLS": "tests/process",
    "YOUTU_EDGE_SCHEMATHESIS_EXAMPLES": "tests/process",
    "YOUTU_EDGE_SESSIONS": "tests/process",
}
"""Variables with the prefix that are no settings: name -> who reads it."""

_LINK = re.compile(r"(YOUTU_EDGE(?:_[A-Z0-9_]+?)?)_PORT")
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://.+:[0-9]+")
_PART_OF_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_[A-Z0-9]+)*|_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?")


class Variable(NamedTuple):
    """A variable that sets a key."""

    name: str
    key: str
    text: str


def variable_name(key: str) -> str:
    """YOUTU_EDGE_SERVICE__PORT for `service.port`."""
    return PREFIX + key.replace(".", _DOT).upper()


def settings(environment: Mapping[str, str], keys: Collection[str]) -> list[Variable]:
    """The variables that set one of `keys`, in the order of `keys`."""
    names = {variable_name(key): key for key in keys}
    return [Variable(name, key, environment[name]) for name, key in names.items() if name in environment]


def unknown(environment: Mapping[str, str], keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """(variable, problem) of those that have the prefix and no meaning. `keys`: all that exist."""
    names = {variable_name(key) for key in keys}
    removed = {variable_name(key): f'key "{key}": {problem}' for key, problem in REMOVED_KEYS.items()}
    links = [found[1] for name, text in environment.items() if (found := _LINK.fullmatch(name)) and _LINK_VALUE.match(text)]
    for name in sorted(environment):
        if not name.upper().startswith(PREFIX) or name in names or name in OTHERS:
            continue
        if any(name.startswith(link) and _PART_OF_LINK.fullmatch(name, len(link)) for link in links):
            continue  # where another service of a Kubernetes namespace or a Docker network is
        yield name, removed.get(name) or f"sets no key{_did_you_mean(name, names)}"


def _did_you_mean(name: str, names: Collection[str]) -> str:
    """A single underscore for the dot is the usual mistake, so all underscores are compared as single ones."""
    plain = {each.removeprefix(PREFIX).replace(_DOT, "_"): each for each in sorted(names)}
    wanted = re.sub("[_.-]+", "_", name[len(PREFIX) :].upper())
    ends = [each for each in plain if each.endswith(f"_{wanted}")]  # the section is missing
    guesses = ends or difflib.get_close_matches(wanted, plain, 1)
    return f"; did you mean {plain[guesses[0]]}?" if guesses else "; names are such as YOUTU_EDGE_SERVICE__PORT"
