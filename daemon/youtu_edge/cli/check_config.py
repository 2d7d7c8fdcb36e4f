"""`youtu-edge check-config FILE [--explain]`."""

from __future__ import annotations

import msgspec

from youtu_edge.config_file import dotted_keys, trace_config


def run(file: str, *, explain: bool) -> int:
    """Print "FILE: ok", or with `explain` every value and where it was set.

    Raises ConfigError with one line per problem.
    """
    config, origins = trace_config(file)
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
