"""The engine process: loads what `Start` names, then turns the loop until the front says stop or goes away."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import select
import signal
import socket
import time
from pathlib import Path

import tokenizers

from youtu_edge import protocol
from youtu_edge.config import Config
from youtu_edge.engine.detokenize import Vocabulary
from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.loop import Loop
from youtu_edge.engine.memory import MemoryPlan, plan_memory, resident_bytes
from youtu_edge.engine.prepared import find_prepared, probe
from youtu_edge.engine.prompt import Prompter
from youtu_edge.engine.runner import Runner
from youtu_edge.engine.scheduler import Scheduler
from youtu_edge.errors import EXIT_FAILURE, EXIT_OK, ConfigError, PackageError, YoutuEdgeError
from youtu_edge.package import CHAT_TEMPLATE, TOKENIZER, Package, open_package

log = logging.getLogger("youtu_edge.engine")

HEARTBEAT_S = 1.0
_PR_SET_PDEATHSIG = 1


class FrontGoneError(Exception):
    """The socketpair is closed: the front died or wants us to leave."""


class Link:
    """Our end of the socketpair."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = protocol.FrameReader()

    def send(self, message: protocol.FromEngine) -> None:
        """Write one frame; raises FrontGoneError."""
        try:
            self._socket.sendall(protocol.encode_frame(message))
        except OSError:
            raise FrontGoneError from None

    def receive(self, timeout_s: float) -> list[protocol.ToEngine]:
        """Messages that arrive within the timeout; an empty list if none does. Raises FrontGoneError."""
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return []
        try:
            data = self._socket.recv(1 << 20)
        except OSError:
            raise FrontGoneError from None
        if not data:
            raise FrontGoneError
        return [protocol.TO_ENGINE.decode(body) for body in self._reader.feed(data)]


def main(descriptor: int) -> int:
    """Serve the front behind the inherited descriptor; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the front, which then drains
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    link = Link(socket.socket(fileno=descriptor))
    try:
        return _serve(link)
    except FrontGoneError:
        return EXIT_OK
    except YoutuEdgeError as error:
        log.error("event=fatal reason=%s", json.dumps(error.message))
        try:
            link.send(protocol.Fatal(error.exit_code, error.message))
        except FrontGoneError:
            return EXIT_FAILURE
        return error.exit_code


def _serve(link: Link) -> int:
    begun = time.monotonic()
    messages: list[protocol.ToEngine] = []
    while not messages:
        messages = link.receive(60.0)
    start = messages.pop(0)
    if not isinstance(start, protocol.Start):
        raise YoutuEdgeError(f"the first message must be Start, not {type(start).__name__}")
    logging.getLogger().setLevel(start.config.service.log_level.upper())
    loop, ready = load(start.config, link)
    link.send(protocol.Ready(**{**ready, "load_seconds": time.monotonic() - begun}))  # type: ignore[arg-type]
    last_beat = time.monotonic()
    while True:
        for message in messages:
            if isinstance(message, protocol.Submit):
                loop.submit(message)
            elif isinstance(message, protocol.Cancel):
                loop.cancel(message.id)
            else:
                return EXIT_OK
        if loop.has_work:
            loop.step()
            messages = link.receive(0.0)
            continue
        loop.idle()
        if time.monotonic() - last_beat >= HEARTBEAT_S:
            last_beat = time.monotonic()
            link.send(protocol.Heartbeat(loop.stats()))
        messages = link.receive(HEARTBEAT_S)


def load(config: Config, link: Link) -> tuple[Loop, dict[str, object]]:
    """Everything between `Start` and `Ready`: check the package, load it, split the memory, run one token."""
    package = open_package(config.model.path)
    manifest = package.manifest
    context = config.model.context_length or manifest.context_length
    if context > manifest.context_length:
        raise ConfigError(f"model.context_length: {context} is more than the {manifest.context_length} of this model")
    runner = _open_runner(config, package, context)
    tokenizer, prompter = load_prompter(package)
    plan = _measure(config, runner)
    runner.allocate_cache(plan.num_pages)
    pool = PagePool(plan.num_pages, config.model.page_tokens)
    scheduler = Scheduler(pool, max_sequences=config.scheduler.max_sequences, step_tokens=config.scheduler.step_tokens)
    loop = Loop(
        runner, scheduler, prompter, Vocabulary(tokenizer), link.send, max_stall_s=config.scheduler.max_stall_ms / 1e3
    )
    runner.run([0], [1], [0], [[0]], [0])
    return loop, {
        "model": config.model.name or manifest.name,
        "context_length": context,
        "pages": plan.num_pages,
        "page_tokens": config.model.page_tokens,
        "load_seconds": 0.0,
        "memory": plan.as_dict(),
    }


def _open_runner(config: Config, package: Package, context: int) -> Runner:
    """With the packed weights if there are any and they answer as they did when they were made."""

    def open_with(graph: Path | None) -> Runner:
        runner = Runner(
            package,
            page_tokens=config.model.page_tokens,
            threads=config.engine.threads or len(os.sched_getaffinity(0)),
            spin_us=config.engine.spin_us,
            context_length=context,
            graph=graph,
        )
        runner.allocate_cache(1)
        return runner

    prepared = find_prepared(package)
    if prepared is not None:
        runner = open_with(prepared.graph)
        if probe(runner) == prepared.probe:
            return runner
        log.warning('prepared_weights used=no reason="they answer differently than when they were made"')
        del runner
    return open_with(None)


def load_prompter(package: Package) -> tuple[tokenizers.Tokenizer, Prompter]:
    """The package's tokenizer and chat template. Raises PackageError naming the file."""
    path = package.path(TOKENIZER)
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise PackageError(f"{path}: not a usable tokenizer: {error}") from None
    template = package.read_text(CHAT_TEMPLATE) if package.has_chat_template else None
    manifest = package.manifest
    return tokenizer, Prompter(
        tokenizer, template, bos_token_id=manifest.bos_token_id, variables=manifest.template_variables
    )


def _measure(config: Config, runner: Runner) -> MemoryPlan:
    """Run the largest step once on a small pool and split the budget by what it took."""
    page_tokens = config.model.page_tokens
    step = min(config.scheduler.step_tokens, runner.context_length)
    pages = -(-step // page_tokens)
    runner.allocate_cache(pages)
    runner.run([0], [1], [0], [[0]], [0])
    rest = resident_bytes()
    rows = list(range(min(config.scheduler.max_sequences, step)))
    runner.run([0] * step, [step], [0], [list(range(pages))], rows)
    page_bytes = runner.manifest.cache.bytes_per_token * page_tokens
    activations = max(0, resident_bytes() - rest - pages * page_bytes)
    return plan_memory(config, rest=rest, activations=activations, page_bytes=page_bytes)
