"""The fields that the bodies of OpenAI's chats and completions share."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.front.admission.sampling import SamplingFields
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.to_engine import Grammar, JsonObject, JsonSchema, Lark, Regex
from youtu_edge.request_errors import InvalidRequestError

StopText = Annotated[str, Meta(min_length=1, max_length=1000)]
Stop = StopText | Annotated[list[StopText], Meta(max_length=32)]
Tokens = Annotated[int, Meta(ge=1)]
TokenId = Annotated[str, Meta(pattern="^[0-9]{1,9}$")]
Bias = Annotated[float, Meta(ge=-100, le=100)]
Source = Annotated[str, Meta(min_length=1, max_length=100_000)]


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a streamed answer."""

    include_usage: bool = False
    include_obfuscation: bool | None = None
    """Ignored: events are never obfuscated."""


class TextFormat(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """Any text."""


class JsonObjectFormat(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="json_object"):
    """Any JSON object."""


class NamedSchema(msgspec.Struct, forbid_unknown_fields=True):
    """A schema and the name that the application gave it."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None
    """Makes no difference: the answer always satisfies the schema."""


class JsonSchemaFormat(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="json_schema"):
    """JSON that satisfies a schema."""

    json_schema: NamedSchema


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat


class GenerationFields(SamplingFields, forbid_unknown_fields=True, kw_only=True):
    """Options of the answer that both bodies accept."""

    model: str | None = None
    max_tokens: Tokens | None = None
    stop: Stop | None = None
    n: Annotated[int, Meta(ge=1, le=16)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logit_bias: dict[TokenId, Bias] | None = None
    response_format: ResponseFormat | None = None
    regex: Source | None = None
    grammar: Source | None = None
    ignore_eos: bool | None = None
    user: Annotated[str, Meta(max_length=256)] | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage


def check_fields(body: GenerationFields) -> None:
    """What types cannot express. Raises InvalidRequestError naming the field."""
    if body.stream_options is not None and not body.stream:
        raise InvalidRequestError("stream_options: only allowed with stream: true", param="stream_options")
    bound = [name for name in ("response_format", "regex", "grammar") if _binds(getattr(body, name))]
    if len(bound) > 1:
        raise InvalidRequestError(f"{bound[1]}: cannot be combined with {bound[0]}", param=bound[1])


def fill_fields(submit: GenerationRequest, body: GenerationFields, logprobs: int | None) -> None:
    """Copy these fields into the request. `logprobs`: alternatives to report for each token, None for no report."""
    bias = {int(token): value for token, value in (body.logit_bias or {}).items()}
    submit.sampling = msgspec.structs.replace(submit.sampling, logit_bias=bias, logprobs=logprobs)
    submit.ignore_eos = bool(body.ignore_eos)
    submit.grammar = _grammar(body)


def _binds(value: ResponseFormat | str | None) -> bool:
    return value is not None and not isinstance(value, TextFormat)


def _grammar(body: GenerationFields) -> Grammar | None:
    if isinstance(body.response_format, JsonObjectFormat):
        return JsonObject("response_format")
    if isinstance(body.response_format, JsonSchemaFormat):
        return JsonSchema("response_format.json_schema.schema", body.response_format.json_schema.schema)
    if body.regex is not None:
        return Regex("regex", body.regex)
    return None if body.grammar is None else Lark("grammar", body.grammar)
