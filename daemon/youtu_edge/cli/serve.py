"""`youtu-edge serve`: reads the configuration, then becomes the front process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from youtu_edge import log
from youtu_edge.config import Config
from youtu_edge.config_file import load_config

_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@contextlib.contextmanager
def without_authorities() -> Iterator[None]:
    """No certificate authorities for TLS contexts that are made meanwhile, whatever OpenSSL would read by default."""
    before = {name: os.environ.get(name) for name in _AUTHORITIES}
    os.environ.update(dict.fromkeys(_AUTHORITIES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


# While it is imported, aiohttp makes contexts for clients with all authorities of the machine: 40 ms, and 2.8 MiB that a
# server never uses.
with without_authorities():
    from youtu_edge.front.serve import serve


def run(config_file: str | None, overrides: Sequence[str]) -> int:
    """Serve until a signal stops it. Raises the YoutuEdgeError that ended the daemon."""

    def read() -> Config:
        return load_config(config_file, overrides, os.environ)

    config = read()
    log.configure(config.service.log_level)
    return serve(config, read_config=read)
