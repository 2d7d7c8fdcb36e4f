"""An engine works with an inherited descriptor above 1,023, which it gets when the front has that many connections."""

from __future__ import annotations

import fcntl
import resource
import socket
from collections.abc import Iterator

import pytest

from youtu_edge.engine.front_link import Link
from youtu_edge.protocol.codec import encode_frame
from youtu_edge.protocol.from_engine import EngineStats, Heartbeat
from youtu_edge.protocol.to_engine import Cancel

HIGH = 1500


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < HIGH + 10:
        pytest.skip(f"this shell may not open {HIGH} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, HIGH + 10), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_messages_come_and_go_over_a_high_descriptor(many_files: None) -> None:
    front, engine = socket.socketpair()
    with front, engine, socket.socket(fileno=fcntl.fcntl(engine, fcntl.F_DUPFD_CLOEXEC, HIGH)) as high:
        link = Link(high)
        assert link.receive(0.0) == []
        front.sendall(encode_frame(Cancel("r")))
        assert link.receive(10.0) == [Cancel("r")]
        link.wake()
        assert link.receive(10.0) == []
        link.send(Heartbeat(EngineStats()))
        assert front.recv(1000)
