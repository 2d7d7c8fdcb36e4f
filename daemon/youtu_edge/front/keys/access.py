"""Checks the key and scope of every request, and that the daemon does not listen for others without keys.

A request carries its key as `Authorization: Bearer KEY` or `x-api-key: KEY`. Health probes and the pages of the web UI need
none: the page that asks for the key must load without one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from youtu_edge.config import ServiceConfig
from youtu_edge.errors import ConfigError
from youtu_edge.front.http.forwarded import TrustedProxies
from youtu_edge.front.http.handler import Handler
from youtu_edge.front.http.origin_guard import is_loopback
from youtu_edge.front.http.scope import Scope
from youtu_edge.front.keys.api_keys import ApiKey
from youtu_edge.front.keys.caller import CALLER, Caller
from youtu_edge.front.keys.key_ring import KeyRing
from youtu_edge.request_errors import InsufficientScopeError, InvalidApiKeyError, InvalidRequestError

TIMEOUT_HEADER = "X-Request-Timeout-S"
"""Seconds within which the client needs the complete answer; then the request is cancelled."""

_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_URGENCY = re.compile(r"(?:^|,)\s*u=([0-7])\s*(?:$|,|;)")


def check_exposure(service: ServiceConfig, ring: KeyRing) -> None:
    """Raises ConfigError when other machines could use the daemon without a key and the configuration forbids that."""
    if is_loopback(service.host) or service.allow_unauthenticated or len(ring):
        return
    raise ConfigError(
        f"service.host {service.host}: other machines can reach it, and service.keys_file {service.keys_file} has no key: "
        'create one with "youtu-edge keys add NAME", or listen on 127.0.0.1, or set service.allow_unauthenticated: true'
    )


def make_access_middleware(ring: KeyRing, scope_of: Callable[[web.Request], Scope | None], proxies: TrustedProxies) -> Any:
    """Middleware that identifies the caller of every request and rejects those without the right key.

    `scope_of`: what the key has to allow; None: the request needs no key.
    """

    @web.middleware
    async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
        key = _authenticate(request, ring, scope_of(request))
        token = CALLER.set(Caller(key, _urgency(request, key), _deadline(request), proxies.client_address(request)))
        try:
            return await handler(request)
        finally:
            CALLER.reset(token)

    return access


def _authenticate(request: web.Request, ring: KeyRing, scope: Scope | None) -> ApiKey | None:
    if scope is None or not ring.needs_key():
        return None
    presented = _presented(request)
    if not presented:
        raise InvalidApiKeyError("an API key is required: send the header Authorization: Bearer KEY, or x-api-key: KEY")
    key = ring.find(presented)
    if key is None:
        raise InvalidApiKeyError("unknown API key; it may have been revoked")
    if not key.may(scope):
        raise InsufficientScopeError(f"the key {key.name!r} lacks the scope {scope!r} that {request.path[:200]} needs")
    return key


def _urgency(request: web.Request, key: ApiKey | None) -> int | None:
    """The urgency in the header Priority, but at most the key's own; invalid values are ignored, as in RFC 9218."""
    found = _URGENCY.search(",".join(request.headers.getall("Priority", [])))
    requested = int(found.group(1)) if found else None
    allowed = key.priority if key else None
    return allowed if requested is None or (allowed is not None and requested < allowed) else requested


def _deadline(request: web.Request) -> float | None:
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return None
    if not _SECONDS.fullmatch(text) or float(text) == 0:
        raise InvalidRequestError(
            f"{TIMEOUT_HEADER}: {text[:40]!r} is not a number of seconds above 0", param=TIMEOUT_HEADER
        )
    return asyncio.get_running_loop().time() + float(text)


def _presented(request: web.Request) -> str:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else request.headers.get("x-api-key", "").strip()
