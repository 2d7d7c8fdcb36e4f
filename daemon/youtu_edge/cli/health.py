"""`youtu-edge health`: whether the daemon of this configuration is ready, for health checks of containers."""

from __future__ import annotations

import os
from collections.abc import Sequence

from youtu_edge.config_file import load_config
from youtu_edge.doctor.port import BUSY, ask_ready
from youtu_edge.errors import EXIT_FAILURE, EXIT_OK


def run(config_file: str | None, overrides: Sequence[str]) -> int:
    """Print the body of /readyz. A daemon that is only busy is healthy: nobody should restart it. Raises ConfigError."""
    service = load_config(config_file, overrides, os.environ).service
    status, text = ask_ready(service)
    print(text if status else f"no answer from {service.host} port {service.port}")
    return EXIT_OK if status == 200 or (status == 503 and text.startswith(BUSY)) else EXIT_FAILURE
