"""Messages from and to the front are read and written even when the engine is at its memory limit."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from youtu_edge.protocol.framing import FrameReader, frame

# In a separate process, because the limit remains.
SCRIPT = """
import socket, sys, threading
from youtu_edge.allocator import Allocator
from youtu_edge.engine.memory.process_memory import free_data, holding, limit_data
from youtu_edge.engine.front_link import Link
from youtu_edge.protocol.codec import encode_frame
from youtu_edge.protocol.from_engine import Failed
from youtu_edge.protocol.prompt import ChatMessage
from youtu_edge.protocol.to_engine import SamplingParams, Submit

allocator = Allocator()
front, engine = socket.socketpair()
front.setblocking(False)
link = Link(engine)
if sys.argv[1] == "without":
    link.reserve.release()
request = Submit("r", SamplingParams(), 1, messages=[ChatMessage("user", "x" * 2_000_000)])
frame = encode_frame(request)
answer = Failed("r", "invalid_request", "x" * 2_000_000)
buffer = bytearray(1 << 16)

def read_all():
    while front.recv_into(buffer):
        pass

if sys.argv[1] == "write":
    front.setblocking(True)
    reader = threading.Thread(target=read_all)
    reader.start()
assert limit_data(holding().data + (1 << 20))
taken = []
try:
    while free_data() > 4096:
        taken.append(bytearray(min(free_data(), 1 << 18)))
except MemoryError:
    pass
if sys.argv[1] == "write":
    link.send(answer)
    print(link.reserve.is_held)
    engine.close()
    reader.join()
    sys.exit()
sent, messages = 0, []
while sent < len(frame) or not messages:
    if sent < len(frame):
        sent += front.send(memoryview(frame)[sent : sent + 60_000])
    messages += link.receive(0.1)
print(messages[0].id, len(messages[0].body) > 2_000_000, link.reserve.is_held)
del taken
messages.clear()
allocator.give_back()
link.reserve.restore()
print(link.reserve.is_held)
"""


def run(how: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_ARENA_MAX": "1"}
    return subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=False, env=environment)


def test_a_large_request_is_read_when_nothing_else_is_free() -> None:
    done = run("with")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["r", "True", "False", "True"]


def test_without_a_reserve_it_cannot_be_read() -> None:
    """This test would not notice otherwise that the memory above is not all taken."""
    assert "MemoryError" in run("without").stderr


def test_an_answer_is_written_when_nothing_else_is_free() -> None:
    """Its encoding once ended the engine with SIGSEGV."""
    done = run("write")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False"]  # the reserve was needed


@pytest.mark.parametrize("place", [0, 1])
def test_a_body_during_which_the_reader_fails_comes_again(place: int) -> None:
    reader, got = FrameReader(), list[bytes]()
    reader.add(frame(b"one") + frame(b"two"))

    def read_up_to_there() -> None:
        for index, body in enumerate(reader.bodies()):
            if index == place:
                raise MemoryError
            got.append(body)

    with pytest.raises(MemoryError):
        read_up_to_there()
    assert got + list(reader.bodies()) == [b"one", b"two"]
