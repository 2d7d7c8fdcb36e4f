"""One process that prepares the text of requests, and its protocol.

engine ── Task ──> worker
       <── Begun, Done ──           frames as in protocol/framing.py: | length: uint32 | msgpack |
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
from collections.abc import Collection
from pathlib import Path

import msgspec

from youtu_edge.encoding import msgpack_bytes
from youtu_edge.engine.incoming import IncomingSubmit, IncomingText
from youtu_edge.engine.memory.process_memory import holding
from youtu_edge.engine.text.fork_server import ForkServer, WorkerLimits
from youtu_edge.engine.text.text_work import Prepared, TextWork
from youtu_edge.protocol.from_engine import Failed, Reply
from youtu_edge.readable import readable
from youtu_edge.request_errors import InvalidRequestError

Outcome = Prepared | Reply | Failed | msgspec.Raw
"""The result for a text; Raw is an encoded Reply for the front."""

_LOOK_S, _LOOKS = 1.0, 2
_FRAME_S = 10.0
"""Timeout for the rest of a frame once it has begun."""
_GROWN_BYTES = 4 * 1024 * 1024
"""A worker that has grown by this much exits and is replaced."""
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_HEADER = struct.Struct("<I")


class _Task(msgspec.Struct):
    """A text to prepare; `compiled` are digests of grammars that need no trial."""

    text: IncomingText
    compiled: list[bytes]


class _Begun(msgspec.Struct, tag_field="t", tag="begun"):
    """The worker begins to process another field of the request."""

    field: str


class _Done(msgspec.Struct, tag_field="t", tag="done"):
    """The worker has finished its task; `stays` tells whether it accepts another."""

    prepared: Prepared | Failed | None
    answer: msgspec.Raw
    stays: bool


_TASK = msgspec.msgpack.Decoder(_Task)
_FROM_WORKER: msgspec.msgpack.Decoder[_Begun | _Done] = msgspec.msgpack.Decoder(_Begun | _Done)
_NOTHING = msgspec.Raw(msgpack_bytes(None))


def encode_task(text: IncomingText, compiled: Collection[bytes]) -> bytes:
    """The encoded task for TextWorker.do."""
    return msgpack_bytes(_Task(text, list(compiled)))


class TextWorker:
    """The engine's side of one worker; used by one thread."""

    def __init__(self, server: ForkServer, limits: WorkerLimits) -> None:
        """Raises ForkServerGoneError, as the other methods do."""
        self._server = server
        self._worker = server.fork(limits)
        self._connection = self._worker.connection
        self._connection.settimeout(_FRAME_S)
        self.field = ""
        """The field of the request being processed."""
        self.stays = True
        """Whether it can be given another task."""

    def do(self, task: bytes, field: str) -> Outcome | None:
        """The outcome of the task, whose first field is `field`; None if the worker died or is deadlocked."""
        self.field, self.stays = field, False
        with contextlib.suppress(OSError):
            _send(self._connection, task)
            while body := self._receive():
                message = _FROM_WORKER.decode(body)
                if isinstance(message, _Done):
                    self.stays = message.stays
                    return message.prepared or msgspec.Raw(bytes(message.answer))
                self.field = message.field
        return None

    def end(self) -> str:
        """Kill the worker; returns the signal or exit code that ended it."""
        status = self._server.end(self._worker)
        return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit code {status >> 8}"

    def _receive(self) -> bytes:
        """One frame, or b"" if the worker is gone or deadlocked.

        An allocation that fails while another failure is being reported makes it wait for a lock that it holds itself.
        """
        asleep = 0
        while not readable(_LOOK_S, self._connection.fileno()):
            asleep = asleep + 1 if self._is_asleep() else 0
            if asleep == _LOOKS:
                return b""
        return receive(self._connection)

    def _is_asleep(self) -> bool:
        stat = Path(f"/proc/{self._worker.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] in "ST"


def serve(connection: socket.socket, limits: WorkerLimits, work: TextWork) -> None:
    """A worker's main loop: processes tasks until the connection is closed or the worker has grown too much."""
    os.environ["RUST_BACKTRACE"] = "0"  # a backtrace takes more memory than a worker at its limit has
    born = holding().data
    work.limit(limits.max_tokens)

    def begin(field: str) -> None:
        _send(connection, msgpack_bytes(_Begun(field)))

    stays = True
    while stays and (body := receive(connection)):
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_s)  # SIGPROF is not caught, so it ends the process at any point
        task = _TASK.decode(body)
        del body
        outcome = work.do(task.text, task.compiled, begin)
        stays = holding().data - born < _GROWN_BYTES
        answer = _encoded(task.text, outcome, stays=stays)
        del task, outcome
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(connection, answer)


def _encoded(text: IncomingText, outcome: Prepared | Reply | Failed, *, stays: bool) -> bytes:
    if isinstance(text, IncomingSubmit):
        assert not isinstance(outcome, Reply)
        return msgpack_bytes(_Done(outcome, _NOTHING, stays))
    answer = msgpack_bytes(outcome)
    if len(answer) > _MAX_ANSWER_BYTES:
        reason = f"the answer has more than {_MAX_ANSWER_BYTES >> 20} MiB; split the input into smaller requests"
        answer = msgpack_bytes(Failed(text.id, InvalidRequestError.code, reason))
    return msgpack_bytes(_Done(None, msgspec.Raw(answer), stays))


def _send(connection: socket.socket, body: bytes) -> None:
    connection.sendall(_HEADER.pack(len(body)) + body)


def receive(connection: socket.socket) -> bytes:
    """One frame, or b"" at the end of the connection."""
    header = _exactly(connection, _HEADER.size)
    return _exactly(connection, *_HEADER.unpack(header)) if header else b""


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(size - len(data), 1 << 20))
        if not part:
            return b""
        data += part
    return bytes(data)
