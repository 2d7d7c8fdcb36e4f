"""Messages between front and engine.

Each is the body of one frame (framing.py): msgpack of a map that carries the message's type in the key "t".

Front -> engine: `Start` once, then `Submit`, `Cancel`, `Ask`, `SetLogLevel`, `Shutdown`.
Engine -> front: `Ready` once, then `Accepted` or `Failed` for every `Submit` as soon as it is tokenised, `Working` before
work on other requests begins, `StepFrame` after every step, `Heartbeat` from the step loop while idle, `Fatal` before an
exit on purpose. Every `Submit` is answered by exactly one `Finished` (inside a `StepFrame`) or one `Failed`; a cancelled
request ends with finish_reason "cancelled". Every `Ask` is answered by one `Reply` or `Failed`, between two steps.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from youtu_edge.config import Config, Punctuation
from youtu_edge.framing import frame

FinishReason = Literal["stop", "length", "cancelled"]


class SamplingParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the next token is drawn. Values are validated by the front; the engine trusts them.

    temperature 0 means greedy. top_k 0, top_p 1, min_p 0 and repetition_penalty 1 mean off.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = 0
    logit_bias: dict[int, float] = {}
    """Added to the logits of these token ids."""
    logprobs: int | None = None
    """Report the log-probability of every token and of so many alternatives; None: report nothing."""


class ToolCall(msgspec.Struct, frozen=True):
    """A call that the assistant made in an earlier turn; `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class ChatMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation. Every string in it is data and never parsed for control tokens.

    A role `tool` answers the call `tool_call_id` of an earlier assistant's `tool_calls`. `reasoning` is what the assistant
    thought in that turn; most templates leave it out of the prompt. `tokens` are the ids that the engine drew for an answer
    of which `content` is all or a beginning: the prompt repeats them as they were, so that the prefix cache knows them.
    """

    role: str
    content: str
    name: str | None = None
    tool_calls: list[ToolCall] = []
    tool_call_id: str | None = None
    reasoning: str = ""
    tokens: list[int] = []


class JsonObject(msgspec.Struct, frozen=True, tag="json_object"):
    """The answer must be a JSON object. `param` of this and the others is the request's field, for error messages."""

    param: str


class JsonSchema(msgspec.Struct, frozen=True, tag="json_schema"):
    """The answer must be JSON that satisfies the schema."""

    param: str
    schema: dict[str, Any] | bool


class Regex(msgspec.Struct, frozen=True, tag="regex"):
    """The whole answer must match the regular expression (Rust's syntax, anchored at both ends)."""

    param: str
    pattern: str


class Lark(msgspec.Struct, frozen=True, tag="lark"):
    """The answer must be derived from the rule `start` of a grammar in llguidance's Lark dialect."""

    param: str
    source: str


Grammar = JsonObject | JsonSchema | Regex | Lark


PROBATION_TOKENS = 4
"""Tokens of its answer that a suspect has to gain alone: its prefill gives the first, the others are decoded."""


class Submit(msgspec.Struct, tag_field="t", tag="submit", omit_defaults=True):
    """A request, or the rest of one after an engine crash.

    Exactly one of `messages` (rendered by the chat template), `prompt` (tokenised as plain text) and `prompt_tokens` (taken
    as they are: control tokens are meant, and nothing is put before or behind them) is set.
    `sent_tokens` are the ids that a former engine already produced and whose text `sent_text` already reached the
    client: the engine continues after them and emits neither again.

    `tools` are definitions in OpenAI's shape ({"type": "function", "function": {name, description?, parameters?}}) for the
    chat template; the model writes a call as <tool_call>{"name": ..., "arguments": {...}}</tool_call>, and once it begins
    one the engine holds it to the parameters' schema. `must_call` names those of which at least one has to be called.
    `grammar` binds the answer; with `tools` the model may call one instead, unless `must_call` leaves it no choice.
    Thoughts (<think>...</think> at the beginning) are bound by neither.
    """

    id: str
    sampling: SamplingParams
    max_new_tokens: int
    reserve_tokens: int = 1
    """Room for the answer without which the prompt counts as too long; at most max_new_tokens."""
    messages: list[ChatMessage] | None = None
    prompt: str | None = None
    prompt_tokens: list[int] | None = None
    is_repeatable: bool = False
    """Greedy, or with a seed of the client's own: the same request is answered the same again."""
    stop: list[str] = []
    is_default_stop: bool = False
    """The request named no `stop`: these are for prose only, not for thoughts.

    Whoever named them, stop texts do not count in calls of tools, nor in an answer that `grammar` or `must_call` binds."""
    keeps_stop: bool = False
    """A default stop text stays in the answer unless it is blank."""
    priority: int = 0
    ignore_eos: bool = False
    punctuation: Punctuation = "off"
    """What the front does to the text before it sends it; the engine takes no notice."""
    sent_tokens: list[int] = []
    sent_text: str = ""
    is_suspect: bool = False
    """It was being worked on when an engine died: it runs alone until it has PROBATION_TOKENS more, so that a second
    death tells who causes it."""
    template_kwargs: dict[str, Any] = {}
    grammar: Grammar | None = None
    tools: list[dict[str, Any]] = []
    must_call: list[str] = []
    parallel_tool_calls: bool = True


class Cancel(msgspec.Struct, tag_field="t", tag="cancel"):
    """Stop a request within one step. Unknown ids are ignored (it may just have finished)."""

    id: str


class Tokenize(msgspec.Struct, tag_field="kind", tag="tokenize"):
    """Which token ids are this text? `add_special`: with the BOS that a plain prompt begins with."""

    text: str
    add_special: bool


class Detokenize(msgspec.Struct, tag_field="kind", tag="detokenize"):
    """Which text are these token ids? Control tokens are written out."""

    tokens: list[int]


class Render(msgspec.Struct, tag_field="kind", tag="render", omit_defaults=True):
    """What does the chat template make of this conversation, as text and as token ids?"""

    messages: list[ChatMessage]
    template_kwargs: dict[str, Any] = {}
    tools: list[dict[str, Any]] = []


Question = Tokenize | Detokenize | Render


class Ask(msgspec.Struct, tag_field="t", tag="ask"):
    """A question that tokenizer and template alone can answer; it changes nothing and may be asked again."""

    id: str
    question: Question


class SetLogLevel(msgspec.Struct, tag_field="t", tag="log_level"):
    """The configuration was read again; `level` as in service.log_level."""

    level: str


class Shed(msgspec.Struct, tag_field="t", tag="shed"):
    """Memory is short: drop the prefixes that nobody uses and give everything unused back to the system."""


class Narrow(msgspec.Struct, tag_field="t", tag="narrow"):
    """From now on at most so many sequences run together; those that run already go on."""

    max_sequences: int


class Shutdown(msgspec.Struct, tag_field="t", tag="shutdown"):
    """Leave after the current step; unfinished requests are the front's business."""


class Start(msgspec.Struct, tag_field="t", tag="start"):
    """The first message: what to load and within which limits."""

    config: Config


ToEngine = Start | Submit | Cancel | Shed | Narrow | Ask | SetLogLevel | Shutdown


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
    """Checksum of the package's manifest: another model, or another export of it, has another one."""


class Alternative(msgspec.Struct, array_like=True):
    """A token that could have been drawn. `text` shows it, `utf8` is what it stands for (none: a control token)."""

    text: str
    utf8: bytes
    logprob: float


class TokenLogprob(msgspec.Struct, array_like=True):
    """A drawn token and the most likely ones at its place, best first; natural logarithms, before any penalty or mask."""

    drawn: Alternative
    top: list[Alternative]


class Delta(msgspec.Struct, array_like=True):
    """New output of one request in one step. `text` may be empty while a character or stop string is pending.

    `logprobs`, where they were asked for, has one entry a token; a token that ends the answer has none.
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
    """The stop string that ended it; it is no part of the text."""


class Accepted(msgspec.Struct, tag_field="t", tag="accepted"):
    """The prompt was rendered, tokenised and found to fit; from here on only `Finished` or `Failed` ends it."""

    id: str
    prompt_tokens: int
    in_thought: bool = False
    """The prompt ends inside <think>: the answer begins with the rest of a thought."""


class Working(msgspec.Struct, tag_field="t", tag="working"):
    """From here on the engine works on these requests: those whose grammars it compiles, and the sequences of its steps.

    Sent when they change, before the work begins. Should the engine die, one of them may be the cause.
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
    """Everything that one step produced; it is a sign of progress as well."""

    deltas: list[Delta] = []
    finished: list[Finished] = []
    stats: EngineStats | None = None


class Reply(msgspec.Struct, tag_field="t", tag="reply"):
    """To an `Ask`. `text` and `tokens` are both set whatever was asked, so that the front needs no tokenizer."""

    id: str
    text: str
    tokens: list[int]


class Failed(msgspec.Struct, tag_field="t", tag="failed"):
    """A request or question that cannot be served; `code` is one of errors.REQUEST_ERRORS."""

    id: str
    code: str
    message: str
    param: str | None = None


class Heartbeat(msgspec.Struct, tag_field="t", tag="heartbeat"):
    """Sent by the step loop once a second while idle: it turns, it is not merely alive."""

    stats: EngineStats


class Fatal(msgspec.Struct, tag_field="t", tag="fatal"):
    """The engine is about to exit with `exit_code`; `message` is for the technician."""

    exit_code: int
    message: str


FromEngine = Ready | Accepted | Working | StepFrame | Reply | Failed | Heartbeat | Fatal

_ENCODER = msgspec.msgpack.Encoder()
TO_ENGINE: msgspec.msgpack.Decoder[ToEngine] = msgspec.msgpack.Decoder(ToEngine)
FROM_ENGINE: msgspec.msgpack.Decoder[FromEngine] = msgspec.msgpack.Decoder(FromEngine)


def encode_frame(message: ToEngine | FromEngine | msgspec.Raw) -> bytes:
    """One message, which may be encoded already, as one frame. Raises FramingError when it is too large."""
    return frame(_ENCODER.encode(message))
