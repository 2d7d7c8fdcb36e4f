"""The engine process: loads the model that `Start` names, then runs the loop until `Shutdown` or the end of the front."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import time
from collections.abc import Callable

import tokenizers

from youtu_edge.allocator import Allocator
from youtu_edge.chat_template import TemplateSourceError
from youtu_edge.config import Config, ModelConfig
from youtu_edge.engine.arrivals import Arrivals
from youtu_edge.engine.front_link import FrontGoneError, Link
from youtu_edge.engine.grammar.grammar import GrammarCompiler
from youtu_edge.engine.grammar.token_table import TokenTable
from youtu_edge.engine.incoming import Incoming, IncomingQuery, IncomingSubmit, IncomingText
from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.loaded_model import load_model
from youtu_edge.engine.logprobs import LogprobReporter
from youtu_edge.engine.loop import Loop, Send
from youtu_edge.engine.memory.budget import budget_bytes
from youtu_edge.engine.memory.idle_memory import IdleMemory
from youtu_edge.engine.memory.process_memory import holding, limit_data
from youtu_edge.engine.model.opening import open_description
from youtu_edge.engine.model.runner import Runner
from youtu_edge.engine.scheduler import Scheduler
from youtu_edge.engine.text.detokenize import Vocabulary
from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.engine.text.text_work import TextWork
from youtu_edge.engine.text.text_workers import Texts, TextsAtOnce, TextWorkers
from youtu_edge.engine.warm_prompts import warm_up
from youtu_edge.errors import EXIT_FAILURE, EXIT_OK, ConfigError, DeviceFaultError, PackageError, YoutuEdgeError
from youtu_edge.log import line
from youtu_edge.package import CHAT_TEMPLATE, TOKENIZER, Package
from youtu_edge.process_limits import enough_bytes, shortage
from youtu_edge.protocol.from_engine import Fatal, Heartbeat, Ready
from youtu_edge.protocol.tags import THOUGHTS
from youtu_edge.protocol.to_engine import Cancel, Narrow, SetLogLevel, Shed, Shutdown, Start
from youtu_edge.tool_formats import TOOL_FORMATS
from youtu_edge.vocabulary_size import vocabulary_size

log = logging.getLogger("youtu_edge.engine")

HEARTBEAT_S = 1.0
_PR_SET_PDEATHSIG = 1


def main(descriptor: int) -> int:
    """Serve the front over the inherited descriptor; returns the exit code."""
    # Ctrl-C in a terminal and systemd's SIGTERM reach both processes. The front handles them: it drains, then sends
    # Shutdown. If it dies instead, EOF on the socketpair and the parent-death signal end the engine.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    link = Link(socket.socket(fileno=descriptor))
    try:
        return _serve(link)
    except FrontGoneError:
        return EXIT_OK
    except YoutuEdgeError as error:
        log.error(line("engine_refuses", reason=error.message))
        try:
            link.send(Fatal(error.exit_code, error.message))
        except FrontGoneError:
            return EXIT_FAILURE
        if isinstance(error, DeviceFaultError):
            logging.shutdown()
            os._exit(error.exit_code)  # a normal exit would free memory on a GPU that no longer responds
        return error.exit_code


def _serve(link: Link) -> int:
    begun = time.monotonic()
    messages: list[Incoming] = []
    while not messages:
        messages = link.receive(60.0)
    start = messages.pop(0)
    if not isinstance(start, Start):
        raise YoutuEdgeError(f"the first message must be Start, not {type(start).__name__}")
    logging.getLogger().setLevel(start.config.service.log_level.upper())
    try:
        loop, memory, ready = load(start.config, link)
    except Exception as error:
        enough = enough_bytes(budget_bytes(start.config))
        hint = f"{enough >> 20} MiB is enough for the budget (memory.limit, memory.fraction)"
        if found := shortage(error, hint, enough=enough):
            raise found from error
        raise
    link.send(Ready(**{**ready, "load_seconds": time.monotonic() - begun}))  # type: ignore[arg-type]
    last_beat = time.monotonic()
    while True:
        link.reserve.restore()
        if not link.reserve.is_held and any(isinstance(message, IncomingText) for message in messages):
            # Only when a request needs memory: it takes milliseconds and writes a log line.
            loop.forget_grammars()
            memory.shed()
            link.reserve.restore()
        for message in messages:
            if isinstance(message, Shutdown):
                return EXIT_OK
            handle(message, loop, memory, has_room=link.reserve.is_held)
        loop.admit()
        if loop.has_work:
            loop.step()
            messages = link.receive(0.0)
            continue
        loop.idle()
        memory.idle(loop.stats().steps)
        if time.monotonic() - last_beat >= HEARTBEAT_S:
            last_beat = time.monotonic()
            link.send(Heartbeat(loop.stats()))
        messages = link.receive(HEARTBEAT_S)


def handle(message: Incoming, loop: Loop, memory: IdleMemory, *, has_room: bool) -> None:
    """Handle one message. `has_room`: whether new work is accepted; work resumed from a previous engine always is.

    Raises YoutuEdgeError for an unexpected kind of message.
    """
    if isinstance(message, IncomingText) and not has_room and not message.is_resumed:
        loop.refuse(message, "the memory for requests is in use by other requests; try again later")
    elif isinstance(message, IncomingSubmit):
        loop.submit(message)
    elif isinstance(message, IncomingQuery):
        loop.query(message)
    elif isinstance(message, Cancel):
        loop.cancel(message.id)
    elif isinstance(message, Shed):
        memory.shed()
    elif isinstance(message, Narrow):
        loop.narrow(message.max_sequences)
    elif isinstance(message, SetLogLevel):
        log.root.setLevel(message.level.upper())
    else:
        raise YoutuEdgeError(f"the front sent {type(message).__name__}, which the running engine does not accept")


def load(config: Config, link: Link) -> tuple[Loop, IdleMemory, dict[str, object]]:
    """Everything between `Start` and `Ready`: check and load the package, plan the memory, run one token."""
    allocator = Allocator()
    package = open_description(config)
    manifest = package.manifest
    tokenizer, prompter = load_prompter(package, config.model)
    vocab_size = vocabulary_size(tokenizer, manifest.vocab_size)
    texts = TextWorkers(TextWork(tokenizer, prompter, vocab_size, is_bounded=True))  # forks, so before the weights
    loaded = load_model(config, package, vocab_size)
    runner, limits, plan = loaded.runner, loaded.limits, loaded.plan
    pool = PagePool(plan.num_pages, config.model.page_tokens)
    scheduler = Scheduler(pool, max_sequences=limits.max_sequences, step_tokens=limits.step_tokens, window=manifest.window)
    prompts = (config.model.system_prompt, *config.model.warm_prompts) if config.model.keep_warm else ()
    kept = [text for text in prompts if text]
    if not manifest.prompt_end:
        warm_up(runner, prompter, pool, kept, limits.step_tokens)
    elif config.model.warm_prompts:
        raise ConfigError("model.warm_prompts: this model's prompts are bidirectional and cannot be cached; remove them")
    max_stall_s = limits.max_stall_ms / 1e3
    loop = make_loop(
        runner, scheduler, tokenizer, prompter, link.send, max_stall_s=max_stall_s, texts=texts, on_done=link.wake
    )
    ready = {
        "model": config.model.name or manifest.name,
        "context_length": runner.context_length,
        "pages": plan.num_pages,
        "page_tokens": config.model.page_tokens,
        "load_seconds": 0.0,
        "fingerprint": manifest.checksum,
        "memory": plan.as_dict(),
        "device": runner.device.name,
        "device_note": runner.device.note,
        "infills": prompter.infills,
    }
    texts.start(plan.text_worker, min(runner.context_length, scheduler.most_tokens or runner.context_length), link.wake)
    memory = IdleMemory(runner, pool, allocator, config.memory, time.monotonic)
    memory.give_back()  # runs one token through the whole model
    if not limit_data(holding().data + plan.growth):
        log.warning(
            line("memory_limit_not_set", reason="RLIMIT_DATA cannot be set; only the memory plan limits the engine")
        )
    return loop, memory, ready


def make_loop(
    runner: Runner,
    scheduler: Scheduler,
    tokenizer: tokenizers.Tokenizer,
    prompter: Prompter,
    send: Send,
    *,
    max_stall_s: float,
    texts: Texts | None = None,
    on_done: Callable[[], None] = lambda: None,
) -> Loop:
    """Build a loop. Without `texts` it prepares the text of requests in this process."""
    vocabulary, size = Vocabulary(tokenizer), vocabulary_size(tokenizer, runner.manifest.vocab_size)
    texts = texts or TextsAtOnce(TextWork(tokenizer, prompter, size, is_bounded=False))
    eos = frozenset(runner.manifest.eos_token_ids)
    table = TokenTable(vocabulary, size, eos, prompter.encode_answer)
    thought_tokens = frozenset(token for token in map(tokenizer.token_to_id, THOUGHTS) if token is not None)
    arrivals = Arrivals(
        texts,
        vocabulary,
        GrammarCompiler(table, vocabulary, eos, thought_tokens),
        vocab_size=size,
        context_length=runner.context_length,
        cache_tokens=scheduler.most_tokens or runner.context_length,
        is_bidirectional=bool(runner.manifest.prompt_end),
        on_done=on_done,
    )
    return Loop(runner, scheduler, arrivals, texts, LogprobReporter(vocabulary, tokenizer), send, max_stall_s=max_stall_s)


def load_prompter(package: Package, model: ModelConfig | None = None) -> tuple[tokenizers.Tokenizer, Prompter]:
    """The package's tokenizer and chat template. Raises PackageError naming the file."""
    path = package.path(TOKENIZER)
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except BaseException as error:  # the library raises bare Exception; a Rust panic is a BaseException
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise PackageError(f"{path}: not a usable tokenizer: {error}") from None
    tokenizer.no_truncation()  # some files keep the truncation and padding of training
    tokenizer.no_padding()
    template = package.read_text(CHAT_TEMPLATE) if package.has_chat_template else None
    manifest = package.manifest
    if manifest.tool_format not in ("", *(form.name for form in TOOL_FORMATS)):
        raise PackageError(
            f"{package.root}: manifest.json: tool_format: {manifest.tool_format!r} is unknown; known are "
            f"{', '.join(form.name for form in TOOL_FORMATS)}; update youtu-edge or export the model again"
        )
    try:
        prompter = Prompter(
            tokenizer,
            template,
            bos_token_id=manifest.bos_token_id,
            prompt_end=manifest.prompt_end,
            variables=manifest.template_variables,
            system_prompt=model.system_prompt if model else "",
            thinking=model.thinking if model else None,
            tool_format=manifest.tool_format,
        )
    except TemplateSourceError as error:
        raise PackageError(f"{package.path(CHAT_TEMPLATE)}: {error}; repair the template and export again") from None
    return tokenizer, prompter
