"""Timeouts of a connection: its header, its body, the pause between requests, reading the answer."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest

from front.raw_connections import HALF_A_BODY, HALF_A_HEADER, WHOLE, connect, until_closed
from front.scripted_daemon import Daemon, running, wait_until


@pytest.fixture(scope="module")
def impatient() -> Iterator[Daemon]:
    """A daemon whose clients have little time."""
    times = ("service.header_timeout_s=0.4", "service.body_timeout_s=0.4", "service.idle_timeout_s=0.4")
    with running(*times, "service.max_restart_rate=1000/300") as daemon:
        yield daemon.wait_ready()


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
