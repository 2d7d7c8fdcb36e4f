"""The daemon that a command asks: the one at --url, else the one of the configuration."""

from __future__ import annotations

import argparse
import os
import ssl

from youtu_edge.cli.daemon_client import DaemonClient, trust
from youtu_edge.config import ServiceConfig
from youtu_edge.config_file import load_config
from youtu_edge.errors import YoutuEdgeError

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared, not bound)


def configured_client(config_file: str | None, options: argparse.Namespace) -> DaemonClient:
    """`options` has url, key_file, ca_file and set. Raises YoutuEdgeError."""
    url, tls = options.url, trust(options.ca_file) if options.ca_file else None
    if url is None:
        service = load_config(config_file, options.set, os.environ).service
        url = _url(service)
        if service.tls_certificate and not tls:
            tls = _trust_our_own(service.tls_certificate)
    return DaemonClient(url, options.key_file, tls)


def _url(service: ServiceConfig) -> str:
    host = _ANY.get(service.host, service.host)
    return f"http{'s' if service.tls_certificate else ''}://{f'[{host}]' if ':' in host else host}:{service.port}"


def _trust_our_own(certificate: str) -> ssl.SSLContext:
    """The daemon's own certificate and no other, whatever name is in it and whoever signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(certificate)
    except OSError as error:
        raise YoutuEdgeError(f"{certificate}: cannot be read as a certificate: {error.strerror or error}") from None
    return context
