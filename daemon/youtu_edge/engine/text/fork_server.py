"""Processes that are forked before the engine grows: cheap to start, small, and their death hurts nobody.

    engine ── fork ──> fork server ── fork ──> worker       tokenizer and template are shared, copied only where written to
       │                    │                     │
       ├── "fork", "reap" ──┘                     │
       └── socketpair ────────────────────────────┘         EOF = the worker is dead

The engine cannot fork them itself: later it has threads, and gigabytes whose pages would be copied with every write.

"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable

import msgspec

from youtu_edge.engine.memory.process_memory import holding
from youtu_edge.errors import YoutuEdgeError

_PR_SET_PDEATHSIG = 1
_STANDARD_STREAMS = 3
_MAX_MESSAGE = 4096


class ForkServerGoneError(YoutuEdgeError):
    """The fork server was killed; without it no worker can be started. The next engine has another one."""


class WorkerLimits(msgspec.Struct, frozen=True):
    """What a worker may take.

    data_bytes: private memory beyond what it is born with. nice: added to its niceness. The rest is for the work itself:
    cpu_s: seconds of processor time for each piece. max_tokens: what a prompt and its answer have to fit into.
    """

    data_bytes: int
    nice: int
    cpu_s: float
    max_tokens: int


Serve = Callable[[socket.socket, WorkerLimits], None]
"""What a worker does with its connection; it ends when this returns."""


class Worker:
    """A running worker: its process id and our end of the connection to it."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection


class ForkServer:
    """Started once, while the process is small and computes nothing. May be used by several threads."""

    def __init__(self, serve: Serve, prepare: Callable[[], None]) -> None:
        """`prepare` is called once in the fork server, for what all its workers will share."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._busy = threading.Lock()
        gc.freeze()  # a collection would write into every object's header, and so copy every page
        self.pid = os.fork()
        if not self.pid:
            _run_and_leave(lambda: _serve_forks(theirs, serve, prepare), kept=theirs)
        theirs.close()

    def fork(self, limits: WorkerLimits) -> Worker:
        """A new worker. Raises ForkServerGoneError."""
        ours, theirs = socket.socketpair()
        with theirs:
            return Worker(self._ask(limits, theirs), ours)

    def end(self, worker: Worker) -> int:
        """Kill a worker if it still lives; its status as of os.wait. Raises ForkServerGoneError."""
        worker.connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)  # nobody else has this id before the fork server has reaped it
        return self._ask(worker.pid)

    def close(self) -> None:
        """Let the fork server and its workers leave."""
        self._control.close()

    def _ask(self, message: WorkerLimits | int, descriptor: socket.socket | None = None) -> int:
        data = msgspec.msgpack.encode(message)
        try:
            with self._busy:
                socket.send_fds(self._control, [data], [descriptor.fileno()] if descriptor else [])
                answer = self._control.recv(_MAX_MESSAGE)
        except OSError:
            answer = b""
        if not answer:
            raise ForkServerGoneError("the process that starts the engine's workers is gone")
        return msgspec.msgpack.decode(answer, type=int)


def _serve_forks(control: socket.socket, serve: Serve, prepare: Callable[[], None]) -> None:
    """The fork server's life: fork and reap, until the engine is gone."""
    prepare()
    gc.freeze()
    decoder = msgspec.msgpack.Decoder(WorkerLimits | int)
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, _MAX_MESSAGE, 1)
        if not data:
            return
        message = decoder.decode(data)
        if isinstance(message, int):
            control.send(msgspec.msgpack.encode(os.waitpid(message, 0)[1]))
            continue
        limits, connection = message, socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if not pid:
            _run_and_leave(lambda: _work(connection, limits, serve), kept=connection)  # noqa: B023 - it never returns
        connection.close()
        control.send(msgspec.msgpack.encode(pid))


def _work(connection: socket.socket, limits: WorkerLimits, serve: Serve) -> None:
    """A worker's life, within its limits. The kernel's out-of-memory killer takes it before anybody else."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        os.nice(limits.nice)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most, hard = holding().data + limits.data_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    serve(connection, limits)


def _run_and_leave(life: Callable[[], None], *, kept: socket.socket) -> None:
    """A forked process from its first to its last moment: it keeps one connection and nothing of its parent's."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for name in os.listdir("/proc/self/fd"):
            if int(name) >= _STANDARD_STREAMS and int(name) != kept.fileno():
                with contextlib.suppress(OSError):
                    os.close(int(name))
        life()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
