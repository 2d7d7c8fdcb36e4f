"""Messages from the front to the engine."""

from __future__ import annotations

from typing import Any

import msgspec

from youtu_edge.config import Config
from youtu_edge.protocol.prompt import ChatMessage


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
    """Report the log-probability of every token and of this many alternatives; None: report nothing."""


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
"""Tokens that a suspect has to gain alone before it is cleared: its prefill gives the first, the others are decoded."""


class Submit(msgspec.Struct, tag_field="t", tag="submit", omit_defaults=True):
    """A request, or the rest of one after an engine crash.

    Exactly one of `messages` (rendered by the chat template), `prompt` (tokenised as plain text) and `prompt_tokens` (used
    verbatim: control tokens keep their meaning, and nothing is added before or after them) is set. `suffix` is the text
    that follows the answer, where `prompt` precedes it; empty: there is none.
    `sent_tokens` are the ids that an earlier engine produced and whose text `sent_text` has already reached the client:
    the engine continues after them and emits neither again.

    `tools` are definitions in OpenAI's shape ({"type": "function", "function": {name, description?, parameters?}}) for the
    chat template; the model writes a call in its form (tool_formats), and once it begins one the engine constrains it to
    the parameters' schema. `must_call` lists tools of which at least one has to be called.
    `grammar` constrains the answer; with `tools` the model may call one instead, and must if `must_call` is not empty.
    Neither applies to thoughts (<think>...</think> at the beginning).
    """

    id: str
    sampling: SamplingParams
    max_new_tokens: int
    reserve_tokens: int = 1
    """Minimum room for the answer: a prompt that leaves less is too long; at most max_new_tokens."""
    messages: list[ChatMessage] | None = None
    prompt: str | None = None
    suffix: str = ""
    prompt_tokens: list[int] | None = None
    stop: list[str] = []
    is_default_stop: bool = False
    """The request set no `stop`: these are the configured ones and apply to prose only, not to thoughts.

    No stop text applies inside tool calls, nor in an answer that `grammar` or `must_call` constrains."""
    keeps_stop: bool = False
    """A default stop text stays in the answer unless it is blank."""
    priority: int = 0
    ignore_eos: bool = False
    sent_tokens: list[int] = []
    sent_text: str = ""
    is_suspect: bool = False
    """It was in progress when an engine died: it runs alone until it has PROBATION_TOKENS more, so that a second death
    identifies the cause."""
    template_kwargs: dict[str, Any] = {}
    grammar: Grammar | None = None
    tools: list[dict[str, Any]] = []
    must_call: list[str] = []
    parallel_tool_calls: bool = True


class Cancel(msgspec.Struct, tag_field="t", tag="cancel"):
    """Stop a request within one step. Unknown ids are ignored (it may just have finished)."""

    id: str


class Tokenize(msgspec.Struct, tag_field="kind", tag="tokenize"):
    """Text to token ids. `add_special`: with the BOS that a plain prompt begins with."""

    text: str
    add_special: bool


class Detokenize(msgspec.Struct, tag_field="kind", tag="detokenize"):
    """Token ids to text; control tokens are written out."""

    tokens: list[int]


class Render(msgspec.Struct, tag_field="kind", tag="render", omit_defaults=True):
    """A conversation through the chat template, to text and token ids."""

    messages: list[ChatMessage]
    template_kwargs: dict[str, Any] = {}
    tools: list[dict[str, Any]] = []


TokenizerQuery = Tokenize | Detokenize | Render


class Query(msgspec.Struct, tag_field="t", tag="query"):
    """A query that needs only tokenizer and template; it has no side effects, so it may be sent again."""

    id: str
    query: TokenizerQuery


class SetLogLevel(msgspec.Struct, tag_field="t", tag="log_level"):
    """The configuration was reloaded; `level` as in service.log_level."""

    level: str


class Shed(msgspec.Struct, tag_field="t", tag="shed"):
    """Memory is short: evict the cached prefixes that no sequence uses, and return all unused memory to the system."""


class Narrow(msgspec.Struct, tag_field="t", tag="narrow"):
    """From now on at most this many sequences run together; those already running continue."""

    max_sequences: int


class Shutdown(msgspec.Struct, tag_field="t", tag="shutdown"):
    """Exit after the current step; the front takes care of unfinished requests."""


class Start(msgspec.Struct, tag_field="t", tag="start"):
    """The first message: what to load and within which limits."""

    config: Config


ToEngine = Start | Submit | Cancel | Shed | Narrow | Query | SetLogLevel | Shutdown

TO_ENGINE: msgspec.msgpack.Decoder[ToEngine] = msgspec.msgpack.Decoder(ToEngine)
