"""The address to listen on, with each of its ports: free, or bound by a running daemon."""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Iterator

import msgspec

from youtu_edge.config import ServiceConfig
from youtu_edge.doctor.finding import Finding, fail, ok, warn
from youtu_edge.doctor.surroundings import Surroundings
from youtu_edge.errors import ConfigError, PortInUseError, YoutuEdgeError
from youtu_edge.front.http.listener import open_listener
from youtu_edge.front.http.port_holder import port_holder

_TIMEOUT_S = 3.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared, not bound)
BUSY = ("the board is ", "the queue is ")
_OBSTACLES = ("the daemon is ", "the engine ", "the machine is ", *BUSY)
"""How the reasons of front.status.readiness begin; BUSY: nothing is wrong, more requests would have to wait."""


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Binds each port for an instant."""
    service = surroundings.config.service
    yield from _examine(service, "service.port")
    for port in service.extra_ports:
        yield from _examine(msgspec.structs.replace(service, port=port), "service.extra_ports")


def _examine(service: ServiceConfig, key: str) -> Iterator[Finding]:
    where = f"{service.host} port {service.port}"
    try:
        open_listener(service.host, service.port, key).close()
    except PortInUseError as error:
        yield _held(service, where, error)
    except ConfigError as error:
        if 0 < service.port < 1024 and os.geteuid() != 0:  # the unit may, by its capability
            yield warn(f"{where}: only root can examine a port below 1024: sudo youtu-edge doctor")
        else:
            yield fail(error.message)
    except YoutuEdgeError as error:
        yield fail(error.message)
    else:
        yield ok(f"{where} is free: no daemon is running" if service.port else "a free port is picked at startup")


def _held(service: ServiceConfig, where: str, error: PortInUseError) -> Finding:
    status, text = ask_ready(service)
    holder = port_holder(service.port)
    if not holder.startswith("youtu-edge") and "youtu_edge" not in holder and not _is_ours(status, text):
        return fail(error.message)
    who = holder or "youtu-edge"
    if status == 200:
        return ok(f"{where}: {who} runs and is ready")
    state = f"it says {text[:200]!r}" if status else f"it does not answer within {_TIMEOUT_S:.0f} s"
    return warn(f"{where}: {who} runs and is not ready: {state}; see `journalctl -u youtu-edge -n 50`")


def _is_ours(status: int, text: str) -> bool:
    """Only root can see whose process it is, but anybody can read its answer."""
    return (status, text) == (200, "ready") or (status == 503 and text.startswith(_OBSTACLES))


def ask_ready(service: ServiceConfig) -> tuple[int, str]:
    """Status and body of the running daemon's /readyz; (0, "") without an answer."""
    host = _ANY.get(service.host, service.host)
    connection: http.client.HTTPConnection
    if service.tls_certificate:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only whether it answers
        connection = http.client.HTTPSConnection(host, service.port, timeout=_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, service.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
