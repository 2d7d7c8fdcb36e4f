"""compose.yaml, and the one of config/fleet, as the tests' own runtime needs them. Unknown keys are errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Build(_Strict):
    context: str
    dockerfile: str


class BindOptions(_Strict):
    create_host_path: bool


class Volume(_Strict):
    type: str
    source: str
    target: str
    read_only: bool = False
    bind: BindOptions | None = None


class Logging(_Strict):
    driver: str
    options: dict[str, str]


class Address(_Strict):
    ipv4_address: str


class Service(_Strict, kw_only=True):
    """Named and typed as in the Compose specification."""

    image: str
    build: Build | None = None
    hostname: str = ""
    user: str = ""
    command: list[str]
    environment: dict[str, str] = {}
    ports: list[str] = []
    networks: dict[str, Address] = {}
    depends_on: list[str] = []
    volumes: list[Volume]
    mem_limit: str
    memswap_limit: str
    oom_score_adj: int = 0
    pids_limit: int
    ulimits: dict[str, int] = {}
    read_only: bool
    tmpfs: list[str]
    cap_drop: list[str]
    security_opt: list[str]
    restart: str
    stop_grace_period: str
    logging: Logging


class Subnet(_Strict):
    subnet: str


class AddressManagement(_Strict):
    config: list[Subnet]


class Network(_Strict):
    ipam: AddressManagement


class Compose(_Strict):
    name: str
    services: dict[str, Service]
    volumes: dict[str, None]
    networks: dict[str, Network] = {}


def read_compose(file: str = "compose.yaml", **variables: str) -> Compose:
    """`file` of the checkout with `variables` in place of its ${NAME:-default}; keys with x- are for its anchors.

    Raises msgspec.ValidationError for unknown keys.
    """
    text = (ROOT / file).read_text("utf-8")
    values: Any = yaml.safe_load(_VARIABLE.sub(lambda found: variables.get(found[1], found[2]), text))
    return msgspec.convert({key: value for key, value in values.items() if not key.startswith("x-")}, Compose)


def size_bytes(text: str) -> int:
    """Such as 3g: units are powers of 1024."""
    found = re.fullmatch(r"(\d+)([bkmg])", text)
    assert found, f"{text} is no size"
    return int(found[1]) * _UNITS[found[2]]


def seconds(text: str) -> int:
    """Such as 10s."""
    found = re.fullmatch(r"(\d+)s", text)
    assert found, f"{text} is no duration in seconds"
    return int(found[1])
