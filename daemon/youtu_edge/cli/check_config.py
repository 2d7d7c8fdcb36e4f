"""`youtu-edge check-config FILE [--explain]`.

What is wrong on every machine is an error. What only this machine lacks is a warning: models, keys and certificates may be
added later, and a file may be checked on a machine other than the one it is for.
"""

from __future__ import annotations

import os
import sys

from youtu_edge.config_environment import PREFIX
from youtu_edge.config_file import dotted_keys, trace_config
from youtu_edge.doctor.missing import missing_here
from youtu_edge.encoding import json_bytes
from youtu_edge.front.http.tls import Tls


def run(file: str, *, explain: bool) -> int:
    """Print "FILE: ok", or with `explain` every value and where it was set; warnings on stderr.

    Variables of the environment override the file, as they do for the daemon.

    Raises ConfigError with one line per problem.
    """
    config, origins = trace_config(file, environment=os.environ)
    if bool(config.service.tls_certificate) != bool(config.service.tls_key):
        Tls(config.service)
    for key, warning in missing_here(config):
        print(f'youtu-edge: warning: {origins.get(key, "default")}: key "{key}": {warning}', file=sys.stderr)
    if not explain:
        print(f"{file}: ok{_overridden(origins)}")
        return 0
    keys = list(dotted_keys())
    values = []
    for name in keys:
        section, _, key = name.partition(".")
        values.append(json_bytes(getattr(getattr(config, section), key)).decode())
    for name, value in zip(keys, values, strict=True):
        print(
            f"{name:<{max(map(len, keys))}} = {value:<{min(40, max(map(len, values)))}}  # {origins.get(name, 'default')}"
        )
    return 0


def _overridden(origins: dict[str, str]) -> str:
    names = [origin for origin in origins.values() if origin.startswith(PREFIX)]
    return f", with {', '.join(names)} of the environment" if names else ""
