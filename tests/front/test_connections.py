"""Idle, slow and many connections keep nobody out, and never take the descriptors that the daemon needs for itself."""

from __future__ import annotations

import contextlib
import json
import logging
import resource
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from front.scripted_daemon import Daemon, running, wait_until
from front.test_manners import make_certificate
from youtu_edge.errors import ConfigError
from youtu_edge.front.http.acceptor import RESERVED_DESCRIPTORS, most_connections
from youtu_edge.log import RateLimit

HALF_A_HEADER = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nX-Sl"
HALF_A_BODY = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
WHOLE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
STREAM = json.dumps({"prompt": "slow repeat:800", "max_new_tokens": 4000}).encode()
LONG = b"POST /chat_stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(STREAM) + STREAM


def connect(daemon: Daemon, said: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=20)
    connection.sendall(said)
    return connection


def until_closed(connection: socket.socket) -> bytes:
    """What the daemon sends until it closes."""
    answer = b""
    with contextlib.closing(connection), contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            answer += piece
    return answer


@contextlib.contextmanager
def crowd(daemon: Daemon, count: int, *said: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have sent one of `said` and wait."""
    connections = [connect(daemon, said[index % len(said)]) for index in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def dropped(daemon: Daemon, reason: str) -> float:
    return daemon.metric(f'youtu_edge_connections_dropped_total{{reason="{reason}"}}')


@pytest.fixture(scope="module")
def impatient() -> Iterator[Daemon]:
    """A daemon whose clients have little time."""
    times = ("service.header_timeout_s=0.4", "service.body_timeout_s=0.4", "service.idle_timeout_s=0.4")
    with running(*times, "service.max_restart_rate=1000/300") as daemon:
        yield daemon.wait_ready()


# -- timeouts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [HALF_A_HEADER, b"G", b"\r\n", HALF_A_BODY])
def test_a_request_that_is_not_sent_whole_in_time_is_answered_408_and_closed(impatient: Daemon, said: bytes) -> None:
    head, _, body = until_closed(connect(impatient, said)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"Content-Type: application/json" in head
    assert json.loads(body)["error"]["code"] == "request_timeout"


def test_a_client_that_drips_its_header_or_body_gains_no_time(impatient: Daemon) -> None:
    for said in (HALF_A_HEADER, HALF_A_BODY):
        connection = connect(impatient, said)
        connection.settimeout(0.05)
        answer = b""
        for _ in range(400):
            with contextlib.suppress(TimeoutError, ConnectionError):
                answer += connection.recv(4096)
            if answer:
                break
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"a")
        connection.close()
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_says_nothing_is_closed_without_a_word(impatient: Daemon) -> None:
    assert until_closed(connect(impatient)) == b""


def test_a_kept_connection_is_closed_when_it_was_idle_for_long(impatient: Daemon) -> None:
    answer = until_closed(connect(impatient, WHOLE))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"ok\n")


def test_a_second_request_on_a_kept_connection_has_its_own_time(impatient: Daemon) -> None:
    connection = connect(impatient, WHOLE)
    assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    connection.sendall(HALF_A_HEADER)
    assert b"HTTP/1.1 408 " in until_closed(connection)


def test_streams_and_long_answers_outlive_all_of_these_times(impatient: Daemon) -> None:
    """The stream of four times 0.4 s, a silent one that the engine has not begun, and an answer in one piece."""
    text = "slow but sure " + "x" * 66
    events = list(impatient.stream("/chat_stream", {"prompt": text}))
    assert "".join(event.get("text", "") for event in events) == text
    assert impatient.chat(text)[1]["choices"][0]["message"]["content"] == text
    status, _, data = impatient.request("POST", "/tokenize", {"content": "linger:1"})
    assert (status, json.loads(data)["count"]) == (200, 8)


def test_a_body_that_takes_its_time_but_not_too_much_is_read() -> None:
    body = json.dumps({"prompt": "x" * 4000}).encode()
    head = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    with running("service.header_timeout_s=0.2", "service.idle_timeout_s=0.2") as daemon:
        connection = connect(daemon.wait_ready(), head)
        for start in range(0, len(body), 500):
            time.sleep(0.05)
            connection.sendall(body[start : start + 500])
        assert until_closed(connection).startswith(b"HTTP/1.1 200 ")


def test_a_header_is_bounded_as_a_whole(impatient: Daemon) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (index, b"a" * 8000) for index in range(100))
    answer = b""
    connection = connect(impatient)
    with contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + lines)
    answer = until_closed(connection)
    assert not answer or json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_request"
    assert impatient.request("GET", "/livez")[0] == 200


def test_a_client_that_does_not_read_its_answer_is_dropped_whatever_the_route() -> None:
    with running("service.write_timeout_s=0.5") as daemon:
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        lazy.connect(("127.0.0.1", daemon.port))
        lazy.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40)
        wait_until(lambda: b"client_too_slow" in daemon.log)
        wait_until(lambda: daemon.metric("youtu_edge_connections") == 1)  # the one that asks
        lazy.close()


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
