"""Messages from the engine to the front."""

from __future__ import annotations

from typing import Literal

import msgspec

FinishReason = Literal["stop", "length", "cancelled"]


PLAN_PARTS = ("budget", "front", "weights", "runtime", "activations", "grammar", "text", "cache")
"""How the budget is split; the rest of it is free."""


class Ready(msgspec.Struct, tag_field="t", tag="ready"):
    """The model is loaded and a warm-up token was produced."""

    model: str
    context_length: int
    pages: int
    page_tokens: int
    load_seconds: float
    memory: dict[str, int] = {}
    """Bytes by purpose: see PLAN_PARTS."""
    fingerprint: str = ""
    """Checksum of the package's manifest; differs for another model and for another export of the same model."""
    device: str = "cpu"
    """What the model runs on: cpu or cuda."""
    device_note: str = ""
    """Which GPU, or why none is used."""
    infills: bool = False
    """Whether the model takes a suffix: its tokenizer has the tokens for text in the middle."""


class Alternative(msgspec.Struct, array_like=True):
    """A candidate token. `text` is its printable form, `utf8` its bytes (empty: a control token)."""

    text: str
    utf8: bytes
    logprob: float


class TokenLogprob(msgspec.Struct, array_like=True):
    """A drawn token and the most likely ones in its place, best first; natural logarithms, before any penalty or mask."""

    drawn: Alternative
    top: list[Alternative]


class Delta(msgspec.Struct, array_like=True):
    """New output of one request in one step. `text` may be empty while a character or stop string is pending.

    `logprobs`, if requested, has one entry per token, except for the token that ends the answer.
    """

    id: str
    tokens: list[int]
    text: str
    logprobs: list[TokenLogprob] = []


class Finished(msgspec.Struct, array_like=True):
    """End of one request, after its last `Delta`."""

    id: str
    reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    stop_text: str | None = None
    """The stop string that ended it, which is not part of the text."""

    @property
    def is_answer(self) -> bool:
        """Whether the model produced an answer: at least one token, and the request was not cancelled."""
        return self.reason != "cancelled" and self.completion_tokens > 0


class Accepted(msgspec.Struct, tag_field="t", tag="accepted"):
    """The prompt was rendered, tokenised and found to fit; from here on only `Finished` or `Failed` ends it."""

    id: str
    prompt_tokens: int
    in_thought: bool = False
    """The prompt ends inside <think>: the answer begins with the rest of a thought."""
    tool_format: str = "hermes"
    """The form of tool calls in the answer, see tool_formats."""


class Working(msgspec.Struct, tag_field="t", tag="working"):
    """The requests in progress from here on: those whose grammars are being compiled, and the sequences of the steps.

    Sent whenever the set changes, before the work begins. If the engine dies, one of them may be the cause.
    """

    ids: list[str]


class EngineStats(msgspec.Struct, omit_defaults=True):
    """Counters since the engine's start, and gauges. Times in seconds."""

    steps: int = 0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    cached_tokens: int = 0
    sequence_steps: int = 0
    """Sum of sequences over steps; divided by `steps` it is the mean batch."""
    run_seconds: float = 0.0
    step_seconds: float = 0.0
    preemptions: int = 0
    masks: int = 0
    """Tokens that were drawn under a grammar."""
    mask_seconds: float = 0.0
    running: int = 0
    waiting: int = 0
    pages_total: int = 0
    pages_used: int = 0
    pages_cached: int = 0
    pages_touched: int = 0


class StepFrame(msgspec.Struct, tag_field="t", tag="step", omit_defaults=True):
    """Everything that one step produced; also counts as progress."""

    deltas: list[Delta] = []
    finished: list[Finished] = []
    stats: EngineStats | None = None


class Reply(msgspec.Struct, tag_field="t", tag="reply"):
    """Answer to a `Query`. `text` and `tokens` are both set for every kind, so that the front needs no tokenizer."""

    id: str
    text: str
    tokens: list[int]


class Failed(msgspec.Struct, tag_field="t", tag="failed"):
    """A request or query that cannot be served; `code` is one of those that front/inflight/failure.py lists."""

    id: str
    code: str
    message: str
    param: str | None = None


class Heartbeat(msgspec.Struct, tag_field="t", tag="heartbeat"):
    """Sent once a second while idle, by the step loop itself: proof that the loop runs, not just the process."""

    stats: EngineStats


class Fatal(msgspec.Struct, tag_field="t", tag="fatal"):
    """The engine is about to exit with `exit_code`; `message` is for the technician."""

    exit_code: int
    message: str


FromEngine = Ready | Accepted | Working | StepFrame | Reply | Failed | Heartbeat | Fatal

FROM_ENGINE: msgspec.msgpack.Decoder[FromEngine] = msgspec.msgpack.Decoder(FromEngine)
