"""Deadlines, other sites, TLS, and readers that do not read."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from front.certificates import make_certificate
from front.scripted_daemon import PATHS, Daemon, running, wait_until

CHAT = "/v1/chat/completions"
SITE = "https://panel.example"


def body(content: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **more}


def within(seconds: str) -> dict[str, str]:
    return {"X-Request-Timeout-S": seconds}


def test_a_request_that_is_not_finished_in_time_fails(daemon: Daemon) -> None:
    status, _, data = daemon.request("POST", CHAT, body("quiet"), within("0.2"))
    assert (status, json.loads(data)["error"]["code"]) == (504, "deadline_exceeded")
    wait_until(lambda: daemon.metric("youtu_edge_queue_depth") == 0)


def test_a_stream_that_is_not_finished_in_time_ends_with_the_error(daemon: Daemon) -> None:
    status, _, data = daemon.request("POST", CHAT, body("slow repeat:300", stream=True), within("2"))
    events = [line for line in data.decode().splitlines() if line.startswith("data: ")]
    assert status == 200
    assert json.loads(events[-1][6:])["error"]["code"] == "deadline_exceeded"
    assert len(events) > 2, "what was there in time was sent"


def test_a_request_in_time_is_answered(daemon: Daemon) -> None:
    assert daemon.request("POST", CHAT, body("hello"), within("30.5"))[0] == 200


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "1e3", "", "nan"])
def test_what_is_no_time_is_refused(daemon: Daemon, seconds: str) -> None:
    status, _, data = daemon.request("POST", CHAT, body("hello"), within(seconds))
    assert (status, json.loads(data)["error"]["param"]) == (400, "X-Request-Timeout-S")


def test_the_configuration_bounds_every_request() -> None:
    with running("service.request_timeout_s=0.2") as daemon:
        daemon.wait_ready()
        assert daemon.request("POST", CHAT, body("quiet"), within("60"))[0] == 504
        assert daemon.request("POST", "/chat", {"prompt": "quiet"})[0] == 504


def test_other_sites_are_refused_unless_they_are_named() -> None:
    with running(f"service.cors_origins=[{SITE}]") as daemon:
        daemon.wait_ready()
        status, headers, _ = daemon.request("POST", CHAT, body("hello"), {"Origin": SITE})
        assert (status, headers["access-control-allow-origin"], headers["vary"]) == (200, SITE, "Origin")
        status, headers, _ = daemon.request("POST", CHAT, body("hello"), {"Origin": "https://evil.example"})
        assert (status, "access-control-allow-origin" in headers) == (403, False)
        status, headers, _ = daemon.request("POST", CHAT, body("hello", stream=True), {"Origin": SITE})
        assert (status, headers["access-control-allow-origin"]) == (200, SITE)
        status, headers, _ = daemon.request("POST", CHAT, body("hello", n=-1), {"Origin": SITE})
        assert (status, headers["access-control-allow-origin"]) == (400, SITE), "pages can read errors, too"


def test_a_preflight_needs_no_key_and_the_request_does(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"keys": []}')
    (tmp_path / "keys.json").chmod(0o600)
    asks = {
        "Origin": SITE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-own",
    }
    with running("service.cors_origins=['*']", f"service.keys_file={tmp_path}/keys.json") as daemon:
        daemon.wait_ready()
        status, headers, _ = daemon.request("OPTIONS", CHAT, None, asks)
        assert (status, headers["access-control-allow-headers"]) == (204, "authorization,x-own")
        assert "POST" in headers["access-control-allow-methods"]
        assert daemon.request("POST", CHAT, body("hello"), {"Origin": SITE})[0] == 401


def test_without_cors_a_preflight_is_refused(daemon: Daemon) -> None:
    asks = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
    status, headers, _ = daemon.request("OPTIONS", CHAT, None, asks)
    assert status == 403
    assert not [name for name in headers if name.startswith("access-control")]


def served_certificate(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=20)


def test_a_daemon_with_a_certificate_speaks_https_and_takes_up_a_renewed_one(tmp_path: Path) -> None:
    make_certificate(tmp_path, "first")
    with running(f"service.tls_certificate={tmp_path}/cert.pem", f"service.tls_key={tmp_path}/key.pem") as daemon:
        trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))

        def is_ready() -> bool:
            connection = http.client.HTTPSConnection("127.0.0.1", daemon.port, context=trust, timeout=20)
            with contextlib.closing(connection):
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200

        wait_until(is_ready)
        command = [sys.executable, "-m", "youtu_edge", "chat", "--url", f"https://127.0.0.1:{daemon.port}"]
        done = subprocess.run(
            [*command, "--ca-file", str(tmp_path / "cert.pem")],
            input="hello\n",
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": PATHS},
            timeout=20,
            check=False,
        )
        assert done.stdout == "hello\n", done.stderr
        first = served_certificate(daemon.port)
        assert ssl.PEM_cert_to_DER_cert(first) == ssl.PEM_cert_to_DER_cert((tmp_path / "cert.pem").read_text())
        (tmp_path / "key.pem").write_text("damaged")
        os.kill(daemon.process.pid, signal.SIGHUP)
        make_certificate(tmp_path, "second")
        os.kill(daemon.process.pid, signal.SIGHUP)
        wait_until(lambda: served_certificate(daemon.port) != first)
        daemon.stop()
        assert b"tls_reloaded" in daemon.log


@pytest.mark.parametrize("files", ["one", "none", "garbage"])
def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path, files: str) -> None:
    settings = [f"service.tls_certificate={tmp_path}/cert.pem"]
    settings += [] if files == "one" else [f"service.tls_key={tmp_path}/key.pem"]
    if files == "garbage":
        (tmp_path / "cert.pem").write_text("x")
        (tmp_path / "key.pem").write_text("x")
    with running(*settings) as daemon:
        assert daemon.wait_exit() == 78
        assert b"service.tls_key" in daemon.log


def test_a_client_that_does_not_read_delays_nobody_and_is_dropped() -> None:
    """Meanwhile others are answered; its own answers, of 80 seconds, are cancelled long before their end."""
    with running("service.write_timeout_s=1") as daemon:
        daemon.wait_ready()
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", daemon.port))
        data = json.dumps(body("slow repeat:800", stream=True, n=16, max_tokens=4000)).encode()
        lazy.sendall(
            b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(data)) + data
        )
        for _ in range(10):
            assert daemon.chat("hello")[0] == 200
        wait_until(lambda: daemon.metric("youtu_edge_queue_depth") == 0, timeout=60)
        received = b""
        lazy.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            while piece := lazy.recv(1 << 20):
                received += piece
        lazy.close()
        assert received.startswith(b"HTTP/1.1 200")
        assert b"[DONE]" not in received
        assert daemon.metric('youtu_edge_requests_total{outcome="cancelled"}') == 16
        daemon.stop()
        assert b"client_too_slow" in daemon.log


def test_check_config_names_an_origin_that_no_browser_would_send() -> None:
    command = [sys.executable, "-m", "youtu_edge", "serve", "--set", "service.cors_origins=['https://a.example/x']"]
    environment = {**os.environ, "PYTHONPATH": PATHS}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20, check=False)
    assert done.returncode == 78
    assert "is not an origin" in done.stderr
    assert done.stderr.count("\n") == 1
