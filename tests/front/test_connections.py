"""Many connections do not lock clients out or use up the descriptors that the daemon needs itself."""

from __future__ import annotations

import json
import logging
import resource
import socket
import ssl
import struct
import time
from pathlib import Path

import pytest

from front.certificates import make_certificate
from front.raw_connections import HALF_A_BODY, HALF_A_HEADER, WHOLE, connect, crowd, until_closed
from front.scripted_daemon import Daemon, running, wait_until
from youtu_edge.errors import ConfigError
from youtu_edge.front.http.acceptor import RESERVED_DESCRIPTORS, most_connections
from youtu_edge.log import RateLimit

STREAM = json.dumps({"prompt": "slow repeat:800", "max_new_tokens": 4000}).encode()
LONG = b"POST /chat_stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(STREAM) + STREAM


def dropped(daemon: Daemon, reason: str) -> float:
    return daemon.metric(f'youtu_edge_connections_dropped_total{{reason="{reason}"}}')


# -- the cap ---------------------------------------------------------------------------------------------------------------


def test_at_64_descriptors_120_idle_and_slow_connections_keep_nobody_out_and_the_engine_restarts(tmp_path: Path) -> None:
    """Every request is answered; the engine dies and is replaced; the databases are written; the log stays short."""
    settings = (f"storage.directory={tmp_path}/data", "response_cache.enabled=true", "service.max_restart_rate=9/300")
    with running(*settings, open_files=64) as daemon:
        daemon.wait_ready()
        with crowd(daemon, 120, b"", HALF_A_HEADER, HALF_A_BODY, WHOLE):
            for count in (1, 2):
                for index in range(10):
                    assert daemon.chat(f"hello {index}")[0] == 200
                    assert daemon.request("POST", "/chat", {"prompt": "again", "session_id": "kitchen"})[0] == 200
                    assert daemon.request("GET", "/livez")[0] == 200
                daemon.kill_engine()
                wait_until(lambda count=count: daemon.status()["restarts"] == count)
                daemon.wait_ready()
            most = 64 - RESERVED_DESCRIPTORS
            assert daemon.metric("youtu_edge_connections_max") == most
            assert daemon.metric("youtu_edge_connections") <= most
            assert dropped(daemon, "evicted") >= 120 - most
            assert dropped(daemon, "refused") == 0
            assert len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir())) < 64
        assert daemon.stop() == 0
        assert daemon.log.count(b"connections_full") == 1
        assert b"Too many open files" not in daemon.log
        assert b"Traceback" not in daemon.log


def test_2000_connections_at_the_limit_of_the_unit_keep_nobody_out_and_the_engine_restarts() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2200:
        pytest.skip("this shell may not open 2,200 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2200), hard))
    try:
        with running(open_files=4096) as daemon:
            daemon.wait_ready()
            with crowd(daemon, 2000, b"", HALF_A_HEADER, HALF_A_BODY, WHOLE):
                for _ in range(20):
                    assert daemon.chat("hello")[0] == 200
                daemon.kill_engine()
                wait_until(lambda: daemon.status()["restarts"] == 1)
                daemon.wait_ready()
                assert daemon.chat("hello")[0] == 200
                assert daemon.metric("youtu_edge_connections_max") == 2048
                assert dropped(daemon, "evicted") == 0, "there is room for all of them"
                assert daemon.status()["memory"]["front_resident_bytes"] < 80 << 20
            assert daemon.stop() == 0
            assert b"Traceback" not in daemon.log
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_when_all_connections_wait_for_answers_the_next_is_told_503() -> None:
    with running("service.max_connections=3") as daemon:
        daemon.wait_ready()
        with crowd(daemon, 3, LONG) as busy:
            assert all(one.recv(4096).startswith(b"HTTP/1.1 200") for one in busy)
            for _ in range(8):
                answer = until_closed(connect(daemon, WHOLE))
                head, _, body = answer.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 503 ")
                assert b"Retry-After: " in head
                assert json.loads(body)["error"]["code"] == "connection_limit"
            busy[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            busy[0].close()
            wait_until(
                lambda: until_closed(connect(daemon, b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n"))[9:12] == b"200"
            )
            assert dropped(daemon, "refused") >= 8


def test_streams_are_never_closed_to_make_room() -> None:
    with running("service.max_connections=3") as daemon:
        daemon.wait_ready()
        stream = daemon.stream("/chat_stream", {"prompt": "slow but sure repeat:5"})
        received = [next(stream)]
        with crowd(daemon, 30, b"", HALF_A_HEADER, WHOLE):
            received += stream
        assert "".join(event.get("text", "") for event in received) == "slow but sure repeat:5" * 5


def test_with_tls_those_who_never_shake_hands_make_room_too(tmp_path: Path) -> None:
    make_certificate(tmp_path, "edge")
    tls = (f"service.tls_certificate={tmp_path}/cert.pem", f"service.tls_key={tmp_path}/key.pem")
    trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with running(*tls, open_files=64) as daemon, crowd(daemon, 60, b"", b"\x16\x03\x01"):
        for _ in range(10):
            with trust.wrap_socket(connect(daemon), server_hostname="127.0.0.1") as connection:
                connection.sendall(WHOLE)
                assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        daemon.stop()
        assert b"Traceback" not in daemon.log


# -- descriptors -----------------------------------------------------------------------------------------------------------


def test_without_any_descriptor_left_accepting_pauses_with_a_line_and_the_engine_comes_back() -> None:
    """Somebody lowers the limit of the running daemon below what it has open: nothing can be opened until it is raised."""
    with running("service.max_restart_rate=1/300") as daemon:
        daemon.wait_ready()
        pid = daemon.process.pid
        limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, limit[1]))
        daemon.kill_engine()
        wait_until(lambda: b"engine_not_started" in daemon.log)
        waiting = connect(daemon, WHOLE)
        wait_until(lambda: b"accept_paused" in daemon.log)
        time.sleep(1.5)
        assert daemon.log.count(b"\n") < 20
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
        assert waiting.recv(4096).startswith(b"HTTP/1.1 200")
        waiting.close()
        wait_until(lambda: daemon.status()["state"] == "ready")
        assert daemon.chat("hello")[0] == 200
        assert daemon.stop() == 0


def test_the_limit_on_open_files_decides_how_many_connections_there_may_be() -> None:
    assert most_connections(0, 64) == 24
    assert most_connections(0, 4096) == 2048
    assert most_connections(4000, 4096) == 4000
    assert most_connections(5, 64) == 5
    with pytest.raises(ConfigError, match=r"service.max_connections 30: the limit of 64 open files .* 24; .* to 70"):
        most_connections(30, 64)
    with pytest.raises(ConfigError, match=r"32 open files is too low: 48 are needed; raise LimitNOFILE="):
        most_connections(0, 32)


def test_a_limit_that_cannot_be_kept_stops_the_start() -> None:
    with running("service.max_connections=100", open_files=64) as daemon:
        assert daemon.wait_exit() == 78
        assert daemon.log.count(b"\n") == 1


# -- the log ---------------------------------------------------------------------------------------------------------------


def test_the_log_tells_so_much_of_a_kind_and_then_how_much_it_left_out() -> None:
    now = 0.0
    limit = RateLimit(most=3, period_s=60, clock=lambda: now)

    def said(text: str, level: int = logging.WARNING) -> str:
        record = logging.LogRecord("youtu_edge", level, "", 0, text, (), None)
        return record.getMessage() if limit.filter(record) else ""

    assert [said(f"flood number={index}") != "" for index in range(5)] == [True] * 3 + [False] * 2
    assert said("other") == "other"
    assert [said("request id=1", logging.INFO) for _ in range(9)] == ["request id=1"] * 9
    now = 60.0
    assert said("flood number=6") == "flood number=6 left_out=2"
    assert said("flood number=7") == "flood number=7"
