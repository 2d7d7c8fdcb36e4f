"""TLS with the certificate of the configuration; a renewed one is loaded without a restart."""

from __future__ import annotations

import logging
import ssl

from youtu_edge.config import ServiceConfig
from youtu_edge.errors import ConfigError
from youtu_edge.log import line

log = logging.getLogger(__name__)


class Tls:
    """`context` is None for plain HTTP."""

    def __init__(self, service: ServiceConfig) -> None:
        """Raises ConfigError when one of the two files is missing or they do not belong together."""
        self._certificate, self._key = service.tls_certificate, service.tls_key
        self.context: ssl.SSLContext | None = None
        if bool(self._certificate) != bool(self._key):
            raise ConfigError("service.tls_certificate and service.tls_key: set both of them, or none")
        if self._certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._load(self.context)

    def reload(self) -> None:
        """Read the files again, for connections from now on; the previous certificate stays if they cannot be used."""
        if self.context is None:
            return
        try:
            # Into a scratch context first: loading a certificate whose key does not match would replace the previous one.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self.context)
        except ConfigError as error:
            log.error(line("tls_reload_refused", reason=error.message, effect="the previous certificate stays in use"))
        else:
            log.info(line("tls_reloaded", certificate=self._certificate))

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or str(error)
            raise ConfigError(
                f"service.tls_certificate {self._certificate}, service.tls_key {self._key}: cannot be used: {reason}"
            ) from None
