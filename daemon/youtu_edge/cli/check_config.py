"""`youtu-edge check-config FILE [--explain]`.

What is wrong wherever the file is used is a problem. What only this machine lacks, now, is a warning: models, keys and
certificates may come later, and a file may be checked on another machine than the one it is for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from youtu_edge.config import Config
from youtu_edge.config_file import dotted_keys, trace_config
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.http.listener import open_listener
from youtu_edge.front.http.tls import Tls
from youtu_edge.front.keys.access import check_exposure
from youtu_edge.front.keys.key_ring import KeyRing
from youtu_edge.package import read_manifest

_CREDENTIALS = "/run/credentials"
"""Only the service itself sees what systemd hands over there."""


def run(file: str, *, explain: bool) -> int:
    """Print "FILE: ok", or with `explain` every value and where it was set; warnings on stderr.

    Raises ConfigError with one line per problem.
    """
    config, origins = trace_config(file)
    if bool(config.service.tls_certificate) != bool(config.service.tls_key):
        Tls(config.service)
    for key, warning in missing_here(config):
        print(f'youtu-edge: warning: {origins.get(key, "default")}: key "{key}": {warning}', file=sys.stderr)
    if not explain:
        print(f"{file}: ok")
        return 0
    keys = list(dotted_keys())
    values = []
    for name in keys:
        section, _, key = name.partition(".")
        values.append(msgspec.json.encode(getattr(getattr(config, section), key)).decode())
    for name, value in zip(keys, values, strict=True):
        print(
            f"{name:<{max(map(len, keys))}} = {value:<{min(40, max(map(len, values)))}}  # {origins.get(name, 'default')}"
        )
    return 0


def missing_here(config: Config) -> Iterator[tuple[str, str]]:
    """The keys, and why a daemon that were started here and now could not use them."""
    service = config.service
    try:
        read_manifest(Path(config.model.path))
    except YoutuEdgeError as error:
        yield "model.path", error.message
    try:
        open_listener(service.host, 0).close()
    except YoutuEdgeError as error:
        yield "service.host", error.message
    files = (service.keys_file, service.tls_certificate, service.tls_key)
    if any(name.startswith(_CREDENTIALS) for name in files):
        return
    try:
        check_exposure(service, KeyRing(Path(service.keys_file)))
    except YoutuEdgeError as error:
        yield "service.keys_file", error.message
    try:
        Tls(service)
    except YoutuEdgeError as error:
        yield "service.tls_certificate", error.message
