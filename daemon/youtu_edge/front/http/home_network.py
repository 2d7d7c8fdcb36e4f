"""Announces the daemon in the local network (multicast DNS, RFC 6762 and 6763), so that it is found by name.

    BOARD._youtu-edge._tcp.local    for programs: port, and in TXT version, path, api, tls
    BOARD._http._tcp.local          for whatever lists web pages

Only with service.mdns, and by the package zeroconf, which is imported only then.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from youtu_edge import __version__
from youtu_edge.errors import ConfigError
from youtu_edge.log import line
from youtu_edge.network_address import reachable_host

log = logging.getLogger(__name__)

KINDS = ("_youtu-edge._tcp.local.", "_http._tcp.local.")
_LOOK_S = 60.0
"""How often the address is looked up: DHCP may give another one."""
_LONGEST_LABEL = 63


def zeroconf_library(module: str = "zeroconf") -> Any:
    """Raises ConfigError if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"service.mdns: needs the Python package zeroconf: {error}; pip install 'youtu-edge[home]'"
        ) from None


class HomeNetwork:
    """Announces as `name` what listens at `url()`, which is "" until the port is bound."""

    def __init__(self, name: str, host: str, url: Callable[[], str]) -> None:
        zeroconf_library()  # when the daemon starts, not when somebody misses it
        self._name = name[:_LONGEST_LABEL]
        self._host = host
        self._url = url

    async def run(self) -> None:
        """Announce until cancelled, then take it back. What fails is logged and tried again."""
        while True:
            address = reachable_host(self._host)
            if address and self._url():
                try:
                    await self._announce(address)
                except (OSError, zeroconf_library().Error) as error:
                    log.warning(line("mdns_failed", address=address, reason=f"{type(error).__name__}: {error}"))
            await asyncio.sleep(_LOOK_S if self._url() else 0.1)

    async def _announce(self, address: str) -> None:
        """Returns when this machine has another address."""
        version = zeroconf_library().IPVersion
        announcer = zeroconf_library("zeroconf.asyncio").AsyncZeroconf(
            interfaces=[address], ip_version=version.V6Only if ":" in address else version.V4Only
        )
        try:
            for info in self._entries(address):
                # Another board with this name gets the name; this one becomes NAME-2.
                await (await announcer.async_register_service(info, allow_name_change=True))
            log.info(line("mdns_announced", name=self._name, address=address))
            while reachable_host(self._host) == address:  # noqa: ASYNC110 (nobody says when it changes)
                await asyncio.sleep(_LOOK_S)
        finally:
            await announcer.async_close()  # says goodbye for what is registered

    def _entries(self, address: str) -> list[Any]:
        url = urlsplit(self._url())
        text = {
            "version": __version__,
            "path": "/",
            "tls": str(int(url.scheme == "https")),
            "api": "openai,anthropic,ollama",
        }
        return [
            zeroconf_library().ServiceInfo(
                kind,
                f"{self._name}.{kind}",
                port=url.port,
                parsed_addresses=[address.partition("%")[0]],
                server=f"{socket.gethostname().partition('.')[0]}.local.",
                properties=text if kind == KINDS[0] else {"path": "/"},
            )
            for kind in KINDS
        ]
