"""The requests of the fuzzer, each made from (seed, number) alone, so that one of them can be sent again.

Routes, parameters and bodies come from the daemon's own OpenAPI document: a route that is new is asked as well.
"""

from __future__ import annotations

import functools
import gzip
import random
import zlib
from dataclasses import dataclass, field
from typing import Any, Literal

from fuzz.large_values import LARGEST, text
from fuzz.mutations import corrupt, encode, mutate
from fuzz.valid_bodies import ValidBodies

Manner = Literal[
    "whole", "leave in header", "leave in body", "leave after body", "leave in answer", "half-close",
    "slow body", "stalled body", "slow reader", "cancel", "pipelined",
]  # fmt: skip
_MANNERS: dict[Manner, int] = {
    "whole": 60, "leave in header": 2, "leave in body": 4, "leave after body": 6, "leave in answer": 10, "half-close": 2,
    "slow body": 2, "stalled body": 1, "slow reader": 3, "cancel": 8, "pipelined": 2,
}  # fmt: skip
RECENT = "RECENT"
"""Stands in a path for an id that the daemon gave a moment ago."""

Header = tuple[bytes, bytes]
_ODD: tuple[Header, ...] = (
    (b"Content-Type", b"text/plain"), (b"Content-Type", b"application/json; charset=utf-16"), (b"Content-Type", b"\xff"),
    (b"Accept", b"text/event-stream;q=x"), (b"Priority", b"u=9, i"), (b"Priority", b"u=0"), (b"Priority", b"u=\xff"),
    (b"X-Request-Timeout-S", b"0.2"), (b"X-Request-Timeout-S", b"3"), (b"X-Request-Timeout-S", b"nan"),
    (b"X-Request-Timeout-S", b"-1"), (b"X-Request-Timeout-S", b"999999"), (b"X-Request-Timeout-S", b"0"),
    (b"Authorization", b"Bearer \xff\xfe"), (b"X-Api-Key", b"\xe4"), (b"Authorization", b"Basic x"),
    (b"Origin", b"http://elsewhere.example"), (b"Origin", b"null"), (b"Host", b"elsewhere.example"), (b"Host", b"[::1"),
    (b"Content-Encoding", b"br"), (b"Content-Encoding", b"gzip, gzip"), (b"Content-Encoding", b"gzip"),
    (b"Transfer-Encoding", b"chunked, gzip"), (b"Transfer-Encoding", b"identity"), (b"Content-Length", b"-1"),
    (b"Content-Length", b"99999999999999999999"), (b"Content-Length", b"5, 6"), (b"Content-Length", b"0x10"),
    (b"Expect", b"100-continue"), (b"Expect", b"200-ok"), (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"),
    (b"X-Long", b"a" * 9000), (b"Cookie", b"a=" + b"b" * 7000), (b"No Colon", b""), (b"X-Nul", b"a\x00b"), (b"", b"empty"),
    (b"X-Folded", b"a\r\n b"), (b"Range", b"bytes=0-1"), (b"If-None-Match", b"*"), (b"Idempotency-Key", b"a b"),
    (b"Idempotency-Key", b"k" * 256), (b"Last-Event-ID", b"-1"), (b"Last-Event-ID", b"9" * 40), (b"Last-Event-ID", b"x"),
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """One request, and how it is sent."""

    number: int
    method: str
    path: str
    body: bytes
    headers: tuple[Header, ...]
    manner: Manner
    is_chunked: bool = False
    is_reset: bool = False
    """Who leaves resets the connection."""
    moment: float = 0.5
    """When to leave or cancel, from 0 to 1."""
    is_odd: bool = False
    """Its header may be no HTTP at all."""

    @property
    def has_deadline(self) -> bool:
        return any(name == b"X-Request-Timeout-S" for name, _ in self.headers)

    def __str__(self) -> str:
        headers = " ".join(f"{name.decode('latin-1')}: {value[:60].decode('latin-1')!r}" for name, value in self.headers)
        body = self.body if len(self.body) <= 400 else self.body[:300] + b" ... " + self.body[-80:]
        return f"{self.number}: {self.method} {self.path[:120]} ({self.manner}) {headers} {len(self.body)} bytes {body!r}"


@dataclass
class Requests:
    """All requests of a seed."""

    seed: int
    document: dict[str, Any]
    """OpenAPI, as the daemon tells it."""
    _bodies: ValidBodies = field(init=False)
    _routes: list[tuple[str, str, dict[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        self._bodies = ValidBodies(self.document["components"]["schemas"])
        self._routes = [
            (method.upper(), path, operation)
            for path, operations in sorted(self.document["paths"].items())
            for method, operation in sorted(operations.items())
        ]
        if not any("requestBody" in operation for *_, operation in self._routes):
            raise ValueError("the OpenAPI document names no route with a body")

    def request(self, number: int) -> Request:
        """Number 0 and up."""
        chance = random.Random(f"{self.seed}:{number}")
        if number > 20 and chance.random() < 0.03 and (again := self._replay(number, chance)):
            return again
        with_body = chance.random() < 0.85
        method, path, operation = chance.choice(
            [route for route in self._routes if ("requestBody" in route[2]) == with_body]
        )
        body, encoding = self._body(operation, chance)
        headers = [(b"Content-Type", b"application/json"), *encoding, *_headers(operation, number, chance)]
        is_odd = chance.random() < 0.06
        if is_odd:
            name, value = chance.choice(_ODD)
            headers = [header for header in headers if header[0] != name] + [(name, value)] * chance.choice((1, 1, 2, 150))
        if chance.random() < 0.02:
            method = chance.choice(("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"))
        return Request(
            number=number,
            method=method,
            path=_path(path, operation, chance),
            body=body,
            headers=tuple(headers),
            manner=chance.choices(list(_MANNERS), list(_MANNERS.values()))[0],
            is_chunked=chance.random() < 0.1,
            is_reset=chance.random() < 0.5,
            moment=chance.random(),
            is_odd=is_odd,
        )

    def _replay(self, number: int, chance: random.Random) -> Request | None:
        """A durable request a second time, from some event on, or with another body; None if none is near."""
        for earlier in range(number - 1, number - 15, -1):
            first = random.Random(f"{self.seed}:{earlier}")
            if first.random() < 0.03:
                continue
            found = self.request(earlier)
            if any(name == b"Idempotency-Key" for name, _ in found.headers) and not found.is_odd:
                more = ((b"Last-Event-ID", b"%d" % chance.choice((0, 1, 5, 1000))),) if chance.random() < 0.6 else ()
                body = found.body + b" " if chance.random() < 0.1 else found.body
                headers = tuple(header for header in found.headers if header[0] != b"Last-Event-ID") + more
                return Request(number, found.method, found.path, body, headers, "whole", is_chunked=found.is_chunked)
        return None

    def _body(self, operation: dict[str, Any], chance: random.Random) -> tuple[bytes, list[Header]]:
        if "requestBody" not in operation:
            return (b"", []) if chance.random() < 0.9 else (text(chance).encode()[:5000], [])
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        value = self._bodies.draw(schema, chance, optional=chance.choice((0.0, 0.08, 0.08, 0.3)))
        if "stream" in self._bodies.draw(schema, chance, optional=1) and chance.random() < 0.5:
            value["stream"] = True
        for _ in range(chance.choice((0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3))):
            mutate(value, lambda: self._bodies.draw(schema, chance, optional=1.0), chance)
        bound_length(value)
        data = encode(value)[: 3 * LARGEST]
        if chance.random() < 0.06:
            data = corrupt(data, chance)
        return compressed(data, chance) if chance.random() < 0.08 else (data, [])


def bound_length(body: Any) -> None:
    """Limit the length of background answers, so that a run ends."""
    if isinstance(body, dict):
        for name in body:
            if "max" in name and "tokens" in name and isinstance(body[name], int) and body[name] > 64:
                is_kept = "background" not in body and not isinstance(body[name], bool) and body.get("n") is None
                body[name] = body[name] if is_kept and body[name] % 3 == 0 else 64


@functools.cache
def bomb() -> bytes:
    """60 MB in few bytes."""
    return gzip.compress(b'{"prompt": "' + b" " * 60_000_000 + b'"}', 9, mtime=0)


def compressed(data: bytes, chance: random.Random) -> tuple[bytes, list[Header]]:
    """The body compressed, rightly or not."""
    kind = chance.randrange(7)
    if kind == 0:
        return zlib.compress(data), [(b"Content-Encoding", b"deflate")]
    packed = gzip.compress(data, mtime=0)
    if kind == 1:
        packed = packed[: chance.randrange(len(packed))]
    elif kind == 2:
        at = chance.randrange(len(packed))
        packed = packed[:at] + bytes([packed[at] ^ (1 << chance.randrange(8))]) + packed[at + 1 :]
    elif kind == 3:
        packed = bomb()
    elif kind == 4:
        packed += chance.choice((packed, b"\x00" * 100, b"trailing"))
    elif kind == 5:
        packed = data
    return packed, [(b"Content-Encoding", chance.choice((b"gzip", b"GZIP", b"deflate") if kind == 6 else (b"gzip",)))]


def _headers(operation: dict[str, Any], number: int, chance: random.Random) -> list[Header]:
    found = []
    is_durable = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
    if is_durable and chance.random() < 0.12:
        found.append((b"Idempotency-Key", b"fuzz-%d" % number))
        if chance.random() < 0.1:
            found.append((b"Last-Event-ID", b"%d" % chance.choice((0, 3, 10**11))))
    if chance.random() < 0.1:
        found.append((b"Priority", b"u=%d" % chance.randint(1, 7)))
    return found


def _path(path: str, operation: dict[str, Any], chance: random.Random) -> str:
    ids = ("s0", "s1", "s2", RECENT, RECENT, RECENT, "nobody", "%00", "a" * 3000, "..%2f..", "%ff", "x y", "名", "-")
    query = []
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", chance.choice(ids[:6] if chance.random() < 0.8 else ids))
        elif parameter["in"] == "query" and chance.random() < 0.3:
            is_flag = "boolean" in str(parameter["schema"])
            usual, odd = "true" if is_flag else "5", (RECENT, "-1", "%ff", "9" * 30, "", "nan")
            query.append(f"{name}={usual if chance.random() < 0.7 else chance.choice(odd)}")
    if chance.random() < 0.03:
        query.append(chance.choice(("x=1", "=&&&", "a" * 5000, "stream=true&stream=true")))
    if chance.random() < 0.01:
        path = chance.choice(("//", "/v1/../chat", "/" + "a" * 9000, "/chat/", "*", "/%zz", "http://127.0.0.1/chat"))
    return path + ("?" + "&".join(query) if query else "")
