"""One line per event: `time level event key=value …`, readable at 3 a.m. and by grep."""

from __future__ import annotations

import json
import logging
import re
import sys

_PLAIN = re.compile(r"[\w.,:/+@%()\[\]-]+", re.ASCII)


def configure(level: str) -> None:
    """Send the log to stderr, where systemd's journal takes it. `level` as in service.log_level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def line(event: str, **fields: object) -> str:
    """`event key=value …`; empty fields are left out and odd values quoted, so that no client can forge a line."""
    parts = [event]
    for key, value in fields.items():
        if value is None or value == "":
            continue
        text = f"{value:.3f}" if isinstance(value, float) else str(value)
        parts.append(f"{key}={text if _PLAIN.fullmatch(text) else json.dumps(text[:500])}")
    return " ".join(parts)
