"""What the configuration names but a daemon started here and now would lack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from youtu_edge.config import Config
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.http.listener import open_listener
from youtu_edge.front.http.tls import Tls
from youtu_edge.front.keys.access import check_exposure
from youtu_edge.front.keys.key_ring import KeyRing
from youtu_edge.package import read_manifest

_CREDENTIALS = "/run/credentials"
"""Only the service itself can read these."""


def missing_here(config: Config) -> Iterator[tuple[str, str]]:
    """Configuration keys, and why a daemon started here and now could not use them."""
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
