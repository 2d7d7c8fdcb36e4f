"""One engine in a resource-limited process, and the requests that try it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

import msgspec

from youtu_edge.config import Config
from youtu_edge.errors import PackageError
from youtu_edge.process_death import describe_exit
from youtu_edge.protocol.codec import encode_frame
from youtu_edge.protocol.framing import FrameReader, FramingError
from youtu_edge.protocol.from_engine import FROM_ENGINE, Accepted, Failed, Fatal, FromEngine, Ready, StepFrame, TokenLogprob
from youtu_edge.protocol.to_engine import Start, Submit, ToEngine
from youtu_edge.readable import readable
from youtu_edge.updates.limited_process import limited_process

ENGINE_ARGV = (sys.executable, "-m", "youtu_edge.engine")


@dataclass
class TrialAnswer:
    """The answer to one request; log-probabilities if requested, one per token."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)


class TrialEngine:
    """A loaded engine. Every failure is a PackageError: a package that crashes its engine is not fit for use."""

    def __init__(
        self, connection: socket.socket, process: subprocess.Popen[bytes], log: IO[bytes], deadline: float
    ) -> None:
        self._socket = connection
        self._process = process
        self._log = log
        self._deadline = deadline
        self._reader = FrameReader()
        self._queue: list[FromEngine] = []
        self.prompt_tokens: dict[str, int] = {}
        """Tokens of each request's prompt, as this engine counts them."""

    def start(self, config: Config) -> Ready:
        """Load the package of `config`."""
        self._send(Start(config))
        while not isinstance(message := self._next("loading"), Ready):
            self._raise_if_fatal(message)
        return message

    def answers(self, requests: Sequence[Submit]) -> list[TrialAnswer]:
        """The answers to the requests, in order. They run together, as far as the scheduler allows."""
        answers = {request.id: TrialAnswer() for request in requests}
        unfinished = set(answers)
        for request in requests:
            self._send(request)
        while unfinished:
            message = self._next("answering")
            self._raise_if_fatal(message)
            if isinstance(message, Failed):
                raise PackageError(f"the package cannot answer a simple prompt: {message.message}")
            if isinstance(message, Accepted):
                self.prompt_tokens[message.id] = message.prompt_tokens
            elif isinstance(message, StepFrame):
                for delta in message.deltas:
                    answers[delta.id].tokens += delta.tokens
                    answers[delta.id].logprobs += delta.logprobs
                unfinished -= {finished.id for finished in message.finished}
        return list(answers.values())

    def _send(self, message: ToEngine) -> None:
        with contextlib.suppress(OSError):  # it is gone; _next reports that with the reason
            self._socket.sendall(encode_frame(message))

    def _next(self, doing: str) -> FromEngine:
        while not self._queue:
            left = self._deadline - time.monotonic()
            if left <= 0 or not readable(left, self._socket.fileno()):
                raise PackageError(f"the package was still {doing} at the deadline (updates.trial_deadline_s)")
            try:
                data = self._socket.recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                raise PackageError(f"the package crashes the engine while {doing}: {self._end()}")
            try:
                self._queue += [FROM_ENGINE.decode(body) for body in self._reader.feed(data)]
            except (FramingError, msgspec.MsgspecError) as error:
                raise PackageError(f"the engine sent an invalid message while {doing}: {error}") from None
        return self._queue.pop(0)

    def _end(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10.0)
        code = self._process.returncode
        how = "it closed its connection" if code is None else describe_exit(code)
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f"{how}: {lines[-1][:300]}" if lines else how

    def _raise_if_fatal(self, message: FromEngine) -> None:
        if isinstance(message, Fatal):
            raise PackageError(f"the engine rejects the package: {message.message}")


@contextlib.contextmanager
def trial_engine(
    memory_bytes: int, deadline: float, log: IO[bytes], argv: Sequence[str] = ENGINE_ARGV
) -> Iterator[TrialEngine]:
    """An engine that lives as long as the block, and at most until `deadline` (monotonic). Its log lines go to `log`."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [*argv, "--fd", str(theirs.fileno())]
        with limited_process(command, memory_bytes, pass_fds=[theirs.fileno()], stdout=log, stderr=log) as process:
            theirs.close()
            yield TrialEngine(ours, process, log, deadline)
