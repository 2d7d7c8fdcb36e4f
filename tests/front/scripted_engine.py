"""An engine that echoes instead of thinking: one character of the last message per step, and trouble on demand.

Token n of an answer is the code point of character n. Words in the last message steer it:

    die@N    SIGKILL itself right after token N was sent      hang@N   finish no step any more after token N
    torn@N   die in the middle of the frame of token N        slow     20 ms per step
    long     a prompt that does not fit                       quiet    never produce anything
    repeat:N echo the text N times                            recall   answer with all messages, joined by |
    hold     every other token brings its text with the next one
    second!  crash at the second token of every life          segv@N   crash instead of computing token N, in every life
    spin@N   loop for ever instead of computing token N, in every life
    cut@N    have the front die too, a moment after the computation of token N has begun, in every life
    leak     hold two megabytes more for ever                 form:F   in any message: calls have this form of tool_formats

Like the real one it tells what it works on and runs suspects alone.

Questions are answered as if a token were a code point and 1 the BOS, a rendered conversation "role:content" lines;
"die-always" in a text crashes every engine that is asked; "die-once" has only the first one killed (--died FILE remembers
it); "linger:S" takes S seconds (--begun FILE gets a line each time).

--context N characters, all messages and the room reserved for the answer together, is what fits.
A life that resumed after token N does not meet die@N again. Options: --fail-if FILE, --exit CODE (both instead of loading),
--fatal TEXT, --load-seconds S, --never-ready, --die-on-submit. Slow steps: --sequence-ms and --prompt-us more for each
sequence and each character of a new prompt.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from youtu_edge.protocol.codec import encode_frame
from youtu_edge.protocol.framing import FrameReader
from youtu_edge.protocol.from_engine import (
    Accepted,
    Delta,
    EngineStats,
    Failed,
    Fatal,
    Finished,
    FinishReason,
    FromEngine,
    Heartbeat,
    Ready,
    Reply,
    StepFrame,
    Working,
)
from youtu_edge.protocol.to_engine import (
    PROBATION_TOKENS,
    TO_ENGINE,
    Cancel,
    Detokenize,
    Narrow,
    Query,
    Render,
    Shutdown,
    Start,
    Submit,
    Tokenize,
    TokenizerQuery,
)
from youtu_edge.readable import readable


class ScriptedEngine:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.socket = socket.socket(fileno=options.fd)
        self.reader = FrameReader()
        self.running: dict[str, Submit] = {}
        self.stats = EngineStats(pages_total=8)
        self.heartbeat_at = 0.0
        self.resumed: set[str] = set()
        self.acts: list[Callable[[], object]] = []
        self.working: list[str] = []
        self.leaked: list[bytearray] = []
        self.probation: dict[str, int] = {}

    def send(self, message: FromEngine) -> None:
        self.socket.sendall(encode_frame(message))

    def receive(self, timeout: float) -> None:
        while readable(timeout, self.socket.fileno()):
            data = self.socket.recv(65536)
            if not data:
                raise SystemExit(0)
            for body in self.reader.feed(data):
                self.handle(TO_ENGINE.decode(body))
            timeout = 0

    def handle(self, message: object) -> None:
        if isinstance(message, Start):
            self.config = message.config
            self.load()
        elif isinstance(message, Submit):
            self.submit(message)
        elif isinstance(message, Cancel):
            if self.running.pop(message.id, None):
                self.send(StepFrame(finished=[Finished(message.id, "cancelled", 0, 0, 0)]))
        elif isinstance(message, Query):
            self.send(self.reply(message))
        elif isinstance(message, Narrow):
            self.stats.waiting = message.max_sequences  # for a test to see that it arrived
        elif isinstance(message, Shutdown):
            raise SystemExit(0)

    def reply(self, query: Query) -> Reply | Failed:
        what = query.query
        self.working = [query.id]
        self.send(Working(self.working))
        self.distress(what)
        if isinstance(what, Detokenize):
            for index, token in enumerate(what.tokens):
                if token >= sys.maxunicode:
                    return Failed(query.id, "invalid_request", f"{token} is no token", f"tokens[{index}]")
            return Reply(query.id, "".join(map(chr, what.tokens)), what.tokens)
        if isinstance(what, Render):
            text = "".join(f"{message.role}:{message.content}\n" for message in what.messages)
            return Reply(query.id, text, [ord(character) for character in text])
        bos = [1] if what.add_special else []
        return Reply(query.id, what.text, bos + [ord(character) for character in what.text])

    def distress(self, question: TokenizerQuery) -> None:
        text = question.text if isinstance(question, Tokenize) else ""
        if isinstance(question, Render):
            text = " ".join(message.content for message in question.messages)
        if linger := re.search(r"linger:([0-9.]+)", text):
            if self.options.begun:
                with self.options.begun.open("a") as begun:
                    begun.write(f"{text}\n")
            time.sleep(float(linger.group(1)))
        if "die-always" in text:
            self.break_down("segv@0", 0)
        died = self.options.died
        if "die-once" in text and died and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def load(self) -> None:
        if self.options.fatal:
            self.send(Fatal(78, self.options.fatal))
        if os.path.exists(self.options.fail_if):
            raise SystemExit(1)
        if self.options.exit is not None:
            raise SystemExit(self.options.exit)
        time.sleep(3600 if self.options.never_ready else self.options.load_seconds)
        front = select.poll()
        front.register(self.options.fd, 0)  # only the end of the connection is reported
        while os.path.exists(self.options.load_while):
            if front.poll(20):
                raise SystemExit(0)
        limits = self.config.scheduler
        memory = {"weights": 1, "max_sequences": limits.max_sequences, "step_tokens": limits.step_tokens}
        pages = min(512, self.config.model.kv_cache_max_page)
        self.send(Ready("scripted", 4096, pages=pages, page_tokens=16, load_seconds=0.01, fingerprint="f", memory=memory))

    def submit(self, submit: Submit) -> None:
        if self.options.die_on_submit:
            self.send(Working([submit.id]))
            os.kill(os.getpid(), signal.SIGKILL)
        text = text_of(submit)
        if "long" in text.split():
            self.send(Failed(submit.id, "context_length_exceeded", "9000 tokens do not fit into 4096", "messages"))
            return
        if sum(len(message.content) for message in submit.messages or ()) + submit.reserve_tokens > self.options.context:
            self.send(Failed(submit.id, "context_length_exceeded", "the messages are too long", "messages"))
            return
        form = re.search(r"\bform:([a-z-]+)", " ".join(message.content for message in submit.messages or ()))
        self.send(Accepted(submit.id, len(text), tool_format=form[1] if form else "hermes"))
        self.running[submit.id] = submit
        if "leak" in text.split():
            self.leaked.append(bytearray(b"x") * (2 << 20))
        if submit.sent_tokens:
            self.resumed.add(submit.id)

    def step(self) -> None:
        frame = StepFrame()
        running = [submit for submit in self.running.values() if submit.is_suspect][:1] or list(self.running.values())
        if (working := [submit.id for submit in running]) != self.working:
            self.working = working
            self.send(Working(working))
        torn = False
        if any("slow" in text_of(submit).split() for submit in self.running.values()):
            new = sum(len(text_of(submit)) for submit in running if not submit.sent_tokens)
            time.sleep(0.02 + len(running) * self.options.sequence_ms / 1e3 + new * self.options.prompt_us / 1e6)
        for submit in running:
            text = text_of(submit)
            if "quiet" in text.split():
                continue
            done = len(submit.sent_tokens)
            self.break_down(text, done + 1)
            if "second!" in text.split() and submit.id in self.probation:
                self.break_down("segv@0", 0)
            self.probation[submit.id] = self.probation.get(submit.id, PROBATION_TOKENS) - 1
            submit.is_suspect &= self.probation[submit.id] > 0
            answer = answer_to(submit)
            if done < len(answer):
                submit.sent_tokens.append(ord(answer[done]))
                frame.deltas.append(Delta(submit.id, [ord(answer[done])], piece_of(answer, done, text)))
                done += 1
                torn |= f"torn@{done}" in text.split() and submit.id not in self.resumed
            if done >= len(answer):
                del self.running[submit.id]
                reason: FinishReason = "length" if done == submit.max_new_tokens else "stop"
                frame.finished.append(Finished(submit.id, reason, len(text), 3, done))
            self.obey(text, done)
        self.stats.running = len(self.running)
        self.stats.steps += 1
        self.stats.sequence_steps += len(frame.deltas)
        self.stats.step_seconds += 0.002
        self.stats.run_seconds += 0.001
        frame.stats = self.stats
        data = encode_frame(frame)
        if torn:
            self.socket.sendall(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        self.socket.sendall(data)
        for act in self.acts:
            act()
        self.acts = []

    def break_down(self, text: str, token: int) -> None:
        if f"segv@{token}" in text.split():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.kill(os.getpid(), signal.SIGSEGV)
        if f"cut@{token}" in text.split():
            time.sleep(0.3)
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        while f"spin@{token}" in text.split():
            pass

    def obey(self, text: str, done: int) -> None:
        if f"die@{done}" in text.split():
            self.acts = [lambda: os.kill(os.getpid(), signal.SIGKILL)]
        if f"hang@{done}" in text.split():
            self.acts = [lambda: time.sleep(3600)]

    def run(self) -> None:
        while True:
            busy = any("quiet" not in text_of(submit).split() for submit in self.running.values())
            self.receive(0 if busy else 0.2)
            if busy:
                self.step()
            elif time.monotonic() - self.heartbeat_at > 0.5:
                self.heartbeat_at = time.monotonic()
                self.send(Heartbeat(self.stats))


def text_of(submit: Submit) -> str:
    assert submit.messages
    return submit.messages[-1].content


def piece_of(answer: str, done: int, text: str) -> str:
    if "hold" not in text.split():
        return answer[done]
    if done % 2 == 0 and done + 1 < len(answer):
        return ""
    return answer[done - done % 2 : done + 1]


def answer_to(submit: Submit) -> str:
    text = text_of(submit)
    if "recall" in text.split():
        return "|".join(message.content for message in submit.messages or ())[: submit.max_new_tokens]
    repeat = re.search(r"repeat:(\d+)", text)
    return (text * int(repeat.group(1)) if repeat else text)[: submit.max_new_tokens]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--exit", type=int)
    parser.add_argument("--fatal", default="")
    parser.add_argument("--fail-if", default="", metavar="FILE", help="fail to load when the file exists")
    parser.add_argument("--context", type=int, default=2**30)
    parser.add_argument("--load-seconds", type=float, default=0.0)
    parser.add_argument("--load-while", default="", metavar="FILE", help="be ready when the file does not exist")
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--die-on-submit", action="store_true")
    parser.add_argument("--sequence-ms", type=float, default=0.0)
    parser.add_argument("--prompt-us", type=float, default=0.0)
    parser.add_argument("--died", type=Path)
    parser.add_argument("--begun", type=Path)
    try:
        engine = ScriptedEngine(parser.parse_args())
        engine.run()
    except (BrokenPipeError, ConnectionResetError):
        raise SystemExit(0) from None
