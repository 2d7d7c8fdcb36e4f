"""Malformed HTTP and bodies that cannot be decompressed get a 400 in JSON and no traceback."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from typing import Any

import pytest

from front.scripted_daemon import Daemon, running

HOST = b"Host: localhost\r\n"
GOOD = b'{"prompt": "hi"}'
KEEP = b"POST /chat HTTP/1.1\r\n" + HOST


def answer(raw: bytes) -> tuple[int, Any]:
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower(), raw
    return int(head.split()[1]), json.loads(body)


def compressed(name: bytes, body: bytes, path: bytes = b"/chat") -> bytes:
    head = b"POST %s HTTP/1.1\r\n%sConnection: close\r\nContent-Encoding: %s\r\n" % (path, HOST, name)
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(KEEP + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n0\r\n\r\n", id="chunk size"),
        pytest.param(KEEP + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdeXX\r\n0\r\n\r\n", id="chunk end"),
        pytest.param(KEEP + b"Transfer-Encoding: rot13\r\n\r\n0\r\n\r\n", id="transfer encoding"),
        pytest.param(KEEP + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="two framings"),
        pytest.param(KEEP + b"Content-Length: x\r\n\r\n", id="length"),
        pytest.param(KEEP + b"Content-Length: -5\r\n\r\n", id="negative length"),
        pytest.param(KEEP + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", id="two lengths"),
        pytest.param(KEEP + b"Content-Length: %d\r\n\r\n" % 10**30, id="huge length"),
        pytest.param(b"GET /%s HTTP/1.1\r\n%s\r\n" % (b"a" * 10000, HOST), id="long line"),
        pytest.param(b"GET / HTTP/1.1\r\n%sX: %s\r\n\r\n" % (HOST, b"a" * 10000), id="long field"),
        pytest.param(b"GET / HTTP/1.1\r\n%s%s\r\n" % (HOST, b"X: a\r\n" * 300), id="many fields"),
        pytest.param(b"G\x01T / HTTP/1.1\r\n%s\r\n" % HOST, id="method"),
        pytest.param(b"BREW / HTTP/1.1\r\n%s\r\n" % HOST, id="unknown method"),
        pytest.param(b"GET / HTTP/9.9\r\n%s\r\n" % HOST, id="version"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), id="TLS"),
        pytest.param(b"hello there\r\n\r\n", id="garbage"),
        pytest.param(b"GET /\xff\xfe HTTP/1.1\r\n%s\r\n" % HOST, id="path"),
        pytest.param(b"GET /v1/models?\xff=1 HTTP/1.1\r\n%s\r\n" % HOST, id="query"),
        pytest.param(b"GET http://[/livez HTTP/1.1\r\n%s\r\n" % HOST, id="absolute"),
        pytest.param(b"GET / HTTP/1.1\r\n%s%s\r\n" % (HOST, HOST), id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"GET / HTTP/1.1\nHost: localhost\n\n", id="line feeds"),
        pytest.param(b"GET / HTTP/1.1\r\n%sX: \x00\r\n\r\n" % HOST, id="NUL"),
        pytest.param(b"GET / HTTP/1.1\r\n%sX: a\r\n b\r\n\r\n" % HOST, id="folded"),
    ],
)
def test_what_is_no_http_is_a_400_in_the_documented_shape(daemon: Daemon, said: bytes) -> None:
    status, document = answer(daemon.raw(said))
    assert (status, document["error"]["code"]) == (400, "invalid_request")
    assert document["error"]["message"].startswith("this is not valid HTTP: ")
    assert "\n" not in document["error"]["message"]


def test_a_second_request_that_is_none_is_answered_behind_the_first(daemon: Daemon) -> None:
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\n%s\r\n" % HOST)
        assert connection.recv(4096).endswith(b"ok\n")
        connection.sendall(b"GARBAGE\x01\r\n\r\n")
        assert answer(connection.recv(65536))[0] == 400


def test_a_body_whose_framing_breaks_after_it_has_begun_is_a_400(daemon: Daemon) -> None:
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as connection:
        connection.sendall(KEEP + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        connection.sendall(b'3\r\n{"p\r\nZZ\r\n')
        assert answer(connection.recv(65536))[0] == 400


@pytest.mark.parametrize("path", [b"/chat", b"/tokenize", b"/v1/chat/completions", b"/v1/messages", b"/v1/responses"])
@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"gzip", b"not gzip"),
        (b"gzip", gzip.compress(GOOD, mtime=0)[:-6]),
        (b"gzip", gzip.compress(GOOD, mtime=0)[:-8] + bytes(8)),
        (b"gzip", gzip.compress(GOOD, mtime=0) + b"more"),
        (b"gzip", GOOD),
        (b"deflate", b"\x78\x9cnot deflate"),
        (b"deflate", zlib.compress(GOOD)[:-2]),
        (b"br", b"whatever"),
        (b"zstd", b"whatever"),
        (b"rot13", GOOD),
        (b"gzip, gzip", gzip.compress(gzip.compress(GOOD, mtime=0), mtime=0)),
        (b"\xff", GOOD),
    ],
)
def test_a_compressed_body_that_cannot_be_unpacked_is_a_400(daemon: Daemon, path: bytes, name: bytes, body: bytes) -> None:
    status, document = answer(daemon.raw(compressed(name, body, path)))
    assert status == 400
    assert document["error"]["code"] in ("invalid_request", "unsupported_parameter")
    assert "not" in document["error"]["message"]


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"gzip", gzip.compress(GOOD, mtime=0)),
        (b"GZip", gzip.compress(GOOD, mtime=0)),
        (b"deflate", zlib.compress(GOOD)),
        (b"deflate", _raw_deflate(GOOD)),
        (b"identity", GOOD),
    ],
)
def test_a_compressed_body_is_read(daemon: Daemon, name: bytes, body: bytes) -> None:
    assert answer(daemon.raw(compressed(name, body)))[0] == 200


def test_a_small_body_that_unpacks_to_gigabytes_is_refused_at_the_limit(daemon: Daemon) -> None:
    before = daemon.status()["memory"]["front_resident_bytes"]
    body = gzip.compress(bytes(100_000_000), 9, mtime=0)
    assert answer(daemon.raw(compressed(b"gzip", body)))[0] == 413
    assert daemon.status()["memory"]["front_resident_bytes"] - before < 10_000_000


def test_an_origin_that_is_no_address_is_refused_and_not_an_error_of_ours(daemon: Daemon) -> None:
    for origin in ("http://[", "http://[::1", "//", "http://a:b:c"):
        assert daemon.request("GET", "/v1/models", headers={"Origin": origin})[0] == 403


def test_none_of_it_leaves_a_line_in_the_log() -> None:
    with running() as daemon:
        daemon.wait_ready()
        for _ in range(30):
            daemon.raw(b"hello there\r\n\r\n")
            daemon.raw(compressed(b"gzip", b"not gzip"))
            daemon.raw(compressed(b"br", b"whatever"))
        assert daemon.stop() == 0
        assert b"ERROR" not in daemon.log
        assert daemon.log.count(b"\n") < 10


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/ui/base.css", 200),
        ("GET", "/nowhere", 404),
        ("PATCH", "/v1/responses", 405),
    ],
)
@pytest.mark.parametrize("expectation", ["200-ok", "100-continue, 200-ok", ""])
def test_an_unknown_expectation_is_ignored_whatever_it_is_for(
    daemon: Daemon, method: str, path: str, status: int, expectation: str
) -> None:
    got, headers, _ = daemon.request(method, path, None, {"Expect": expectation})
    assert got == status
    assert status == 200 or headers["content-type"].startswith("application/json")
