"""Prepares the text of requests concurrently with the steps, in processes that may crash (fork_server.py).

    quick   one persistent worker for short requests, with little CPU time for each
    slow    a new worker for every request that is long or that killed the quick one; at low priority

So a request waits at most a fraction of a second for the text of others, and steps do not wait at all. A request that kills
a slow worker is rejected: it exceeds the time or memory that a request may use.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Protocol

from youtu_edge.engine.incoming import IncomingText
from youtu_edge.engine.text.fork_server import ForkServer, ForkServerGoneError, WorkerLimits
from youtu_edge.engine.text.text_work import TextWork
from youtu_edge.engine.text.text_worker import Outcome, TextWorker, encode_task, serve
from youtu_edge.errors import InternalError, UnavailableError
from youtu_edge.log import line
from youtu_edge.protocol.from_engine import Failed
from youtu_edge.request_errors import InvalidRequestError

log = logging.getLogger("youtu_edge.engine")

QUICK_BYTES = 32 * 1024
"""Requests up to this size, as encoded tasks, go to the quick worker."""
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""Limit of queued text, which the engine holds in memory."""
_QUICK_CPU_S, _SLOW_CPU_S = 0.25, 3.0
_SLOW_NICE = 5
_STACK_BYTES = 256 * 1024
"""Stack of a thread that waits for a worker; the default of 8 MB would count against RLIMIT_DATA."""


class Texts(Protocol):
    """Prepares texts. Cancelling a future whose work has not started skips the work."""

    def submit(self, text: IncomingText, compiled: Collection[bytes] = ()) -> Future[Outcome]:
        """Prepare a request or answer a query; the future raises nothing except ForkServerGoneError.

        compiled: digests of grammars that need no trial.
        """


class TextsAtOnce:
    """Works synchronously in this process: for tests and tools whose input is trusted."""

    def __init__(self, work: TextWork) -> None:
        self._work = work

    def submit(self, text: IncomingText, compiled: Collection[bytes] = ()) -> Future[Outcome]:
        """As Texts."""
        future: Future[Outcome] = Future()
        future.set_result(self._work.do(text, compiled))
        return future


class TextWorkers:
    """The two lanes. `on_done` is called from another thread whenever a future has its result."""

    def __init__(self, work: TextWork) -> None:
        """Forks; call it while the process is small."""
        self._server = ForkServer(lambda connection, limits: serve(connection, limits, work), work.learn)
        self._lanes: list[_Lane] = []
        self._waiting = _Waiting()

    def start(self, data_bytes: int, max_tokens: int, on_done: Callable[[], None]) -> None:
        """Start the lanes. data_bytes: memory limit of a worker. max_tokens: upper bound of prompt plus answer."""
        slow = WorkerLimits(data_bytes, _SLOW_NICE, _SLOW_CPU_S, max_tokens)
        quick = WorkerLimits(data_bytes, 0, _QUICK_CPU_S, max_tokens)
        before = threading.stack_size(_STACK_BYTES)
        slow_lane = _Lane("slow", self._server, slow, on_done)
        self._lanes = [_Lane("quick", self._server, quick, on_done, slow_lane), slow_lane]
        threading.stack_size(before)

    def submit(self, text: IncomingText, compiled: Collection[bytes] = ()) -> Future[Outcome]:
        """As Texts."""
        try:
            job = _Job(text, encode_task(text, compiled))
        except MemoryError:
            job, refusal = _Job(text, b""), "the memory for requests is in use by other requests; try again later"
        else:
            refusal = "" if self._waiting.take(job) else "too much text is waiting to be tokenised; try again later"
        if refusal:
            job.future.set_result(Failed(job.id, UnavailableError.code, refusal))
        else:
            self._lanes[len(job.data) > QUICK_BYTES].put(job)
        return job.future

    def close(self) -> None:
        """Make all worker processes exit."""
        self._server.close()


class _Job:
    def __init__(self, text: IncomingText, data: bytes) -> None:
        self.id, self.field = text.id, text.field
        self.data = data
        self.future: Future[Outcome] = Future()


class _Waiting:
    """Counts the bytes of unfinished jobs."""

    def __init__(self) -> None:
        self._bytes = 0
        self._lock = threading.Lock()

    def take(self, job: _Job) -> bool:
        """Count a job until it is done; False if it exceeds MAX_WAITING_BYTES."""
        size = len(job.data)
        with self._lock:
            if self._bytes and self._bytes + size > MAX_WAITING_BYTES:
                return False
            self._bytes += size
        job.future.add_done_callback(lambda _: self._give(size))
        return True

    def _give(self, size: int) -> None:
        with self._lock:
            self._bytes -= size


class _Lane(threading.Thread):
    """One worker at a time and its queue of jobs. A job that kills the worker goes to the lane `rescue`, if any."""

    def __init__(
        self, name: str, server: ForkServer, limits: WorkerLimits, on_done: Callable[[], None], rescue: _Lane | None = None
    ) -> None:
        super().__init__(name=f"{name}-text", daemon=True)
        self._server = server
        self._limits = limits
        self._on_done = on_done
        self._rescue = rescue
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._worker: TextWorker | None = None
        self.start()

    def put(self, job: _Job) -> None:
        """Queue a job."""
        self._jobs.put(job)

    def run(self) -> None:
        """Process jobs until the process ends."""
        while True:
            job = self._jobs.get()
            if job.future.running() or job.future.set_running_or_notify_cancel():
                self._run(job)
            del job

    def _run(self, job: _Job) -> None:
        try:
            outcome = self._do(job)
        except ForkServerGoneError as error:
            job.future.set_exception(error)
        except Exception as error:
            log.error(line("text_worker_fault", request=job.id), exc_info=error)
            reason = f"preparing the request's text failed ({type(error).__name__}); see the daemon log"
            job.future.set_result(Failed(job.id, InternalError.code, reason))
        else:
            if outcome is None:
                assert self._rescue is not None
                self._rescue.put(job)
                return
            job.future.set_result(outcome)
        self._on_done()

    def _do(self, job: _Job) -> Outcome | None:
        """The outcome of a job; None if the worker died and `rescue` is to try it."""
        worker = self._worker or TextWorker(self._server, self._limits)
        self._worker = None
        outcome = worker.do(job.data, job.field)
        if outcome is not None:
            if self._rescue and worker.stays:
                self._worker = worker
            else:
                worker.end()
            return outcome
        reason = worker.end()
        log.warning(line("text_worker_died", request=job.id, lane=self.name, field=worker.field, reason=reason))
        if self._rescue:
            return None
        complaint = "takes more time or memory than a request may use before its first token; make it shorter or simpler"
        return Failed(job.id, InvalidRequestError.code, f"{worker.field}: {complaint}", worker.field)
