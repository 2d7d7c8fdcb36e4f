"""Worker processes forked from a small process: cheap to start, and a crash of one does not affect the engine.

    engine ── fork ──> fork server ── fork ──> worker       tokenizer and template are shared copy-on-write
       │                    │                     │
       ├── "fork", "reap" ──┘                     │
       └── socketpair ────────────────────────────┘         EOF = the worker is dead

The engine cannot fork them itself: once it serves, it has threads, and gigabytes of pages that writes would copy.
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

from youtu_edge.encoding import msgpack_bytes
from youtu_edge.engine.memory.process_memory import holding
from youtu_edge.errors import YoutuEdgeError

_PR_SET_PDEATHSIG = 1
_STANDARD_STREAMS = 3
_MAX_MESSAGE = 4096


class ForkServerGoneError(YoutuEdgeError):
    """The fork server died, so no worker can be started. The engine has to be replaced."""


class WorkerLimits(msgspec.Struct, frozen=True):
    """Limits of a worker.

    data_bytes: private memory beyond that after the fork. nice: added to its niceness. The others are for the task:
    cpu_s: CPU seconds for each task. max_tokens: upper bound of prompt plus answer.
    """

    data_bytes: int
    nice: int
    cpu_s: float
    max_tokens: int


Serve = Callable[[socket.socket, WorkerLimits], None]
"""The worker's main function; the worker exits when it returns."""


class Worker:
    """A running worker: its process id and the engine's end of the connection."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection


class ForkServer:
    """Started once, while the process is small and single-threaded. Thread-safe."""

    def __init__(self, serve: Serve, prepare: Callable[[], None]) -> None:
        """`prepare` is called once in the fork server and builds what its workers share."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._busy = threading.Lock()
        gc.freeze()  # garbage collection writes to object headers, which would copy every page
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
            os.kill(worker.pid, signal.SIGKILL)  # the id cannot be reused before the fork server reaps it
        return self._ask(worker.pid)

    def close(self) -> None:
        """Make the fork server and its workers exit."""
        self._control.close()

    def _ask(self, message: WorkerLimits | int, descriptor: socket.socket | None = None) -> int:
        data = msgpack_bytes(message)
        try:
            with self._busy:
                socket.send_fds(self._control, [data], [descriptor.fileno()] if descriptor else [])
                answer = self._control.recv(_MAX_MESSAGE)
        except OSError:
            answer = b""
        if not answer:
            raise ForkServerGoneError("the fork server, which starts the engine's text workers, has died")
        return msgspec.msgpack.decode(answer, type=int)


def _serve_forks(control: socket.socket, serve: Serve, prepare: Callable[[], None]) -> None:
    """The fork server's main function: forks and reaps until the engine closes the connection."""
    prepare()
    gc.freeze()
    decoder = msgspec.msgpack.Decoder(WorkerLimits | int)
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, _MAX_MESSAGE, 1)
        if not data:
            return
        message = decoder.decode(data)
        if isinstance(message, int):
            control.send(msgpack_bytes(os.waitpid(message, 0)[1]))
            continue
        limits, connection = message, socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if not pid:
            _run_and_leave(lambda: _work(connection, limits, serve), kept=connection)  # noqa: B023 - it never returns
        connection.close()
        control.send(msgpack_bytes(pid))


def _work(connection: socket.socket, limits: WorkerLimits, serve: Serve) -> None:
    """A worker's main function: sets its limits, and makes it the first choice of the kernel's out-of-memory killer."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        os.nice(limits.nice)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most, hard = holding().data + limits.data_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    serve(connection, limits)


def _run_and_leave(life: Callable[[], None], *, kept: socket.socket) -> None:
    """Run `life` in a forked process and exit; closes all inherited descriptors except the standard ones and `kept`."""
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
