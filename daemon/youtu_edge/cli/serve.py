"""`youtu-edge serve`: reads the configuration, then becomes the front process."""

from __future__ import annotations

from collections.abc import Sequence

from youtu_edge import log
from youtu_edge.config import Config
from youtu_edge.config_file import load_config
from youtu_edge.front.serve import serve


def run(config_file: str | None, overrides: Sequence[str]) -> int:
    """Serve until a signal stops it. Raises the YoutuEdgeError that ended the daemon."""

    def read() -> Config:
        return load_config(config_file, overrides)

    config = read()
    log.configure(config.service.log_level)
    return serve(config, read_config=read)
