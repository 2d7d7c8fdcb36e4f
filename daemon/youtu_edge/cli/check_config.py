"""`youtu-edge check-config FILE`."""

from __future__ import annotations

from youtu_edge.config_file import load_config


def run(file: str) -> int:
    """Print "FILE: ok". Raises ConfigError with one line per problem."""
    load_config(file)
    print(f"{file}: ok")
    return 0
