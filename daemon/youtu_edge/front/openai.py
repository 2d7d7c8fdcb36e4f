"""OpenAI's chat dialect: the body that is accepted. Knows no HTTP and no engine."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.errors import InvalidRequestError
from youtu_edge.front.generation import SamplingFields
from youtu_edge.protocol import ChatMessage, Submit

ROLES = ("system", "user", "assistant")

StopText = Annotated[str, Meta(min_length=1, max_length=1000)]
Stop = StopText | Annotated[list[StopText], Meta(max_length=8)]
Tokens = Annotated[int, Meta(ge=1)]

NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "prompt_cache_key": (),
    "reasoning_effort": (),
    "response_format": ({"type": "text"},),
    "safety_identifier": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": (),
    "web_search_options": (),
}
"""OpenAI parameters that this server does not offer, with the values that ask for nothing."""


class TextPart(msgspec.Struct, forbid_unknown_fields=True):
    """One part of a message's content."""

    type: str
    text: str


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """One turn of the conversation."""

    role: str
    content: str | list[TextPart]
    name: str | None = None


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a streamed answer."""

    include_usage: bool = False


class ChatBody(SamplingFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/chat/completions."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    model: str | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: Stop | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=16)] | None = None
    ignore_eos: bool | None = None
    user: Annotated[str, Meta(max_length=256)] | None = None


def check(body: ChatBody) -> None:
    """What types cannot say. Raises InvalidRequestError naming the field."""
    for index, message in enumerate(body.messages):
        if message.role not in ROLES:
            where = f"messages[{index}].role"
            raise InvalidRequestError(f"{where}: {message.role[:40]!r} is not one of {', '.join(ROLES)}", param=where)
        for number, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if part.type != "text":
                where = f"messages[{index}].content[{number}].type"
                raise InvalidRequestError(f"{where}: {part.type[:40]!r} is not offered; only text is", param=where)
    if body.stream_options is not None and not body.stream:
        raise InvalidRequestError("stream_options: only allowed with stream: true", param="stream_options")
    both = body.max_tokens, body.max_completion_tokens
    if None not in both and both[0] != both[1]:
        raise InvalidRequestError("max_tokens and max_completion_tokens differ; give one of them", param="max_tokens")


def chat_messages(body: ChatBody) -> list[ChatMessage]:
    """The conversation as the engine takes it; the parts of a content are one text."""
    return [
        ChatMessage(
            role=message.role,
            content=message.content if isinstance(message.content, str) else "".join(part.text for part in message.content),
            name=message.name,
        )
        for message in body.messages
    ]


def fill(submit: Submit, body: ChatBody) -> None:
    """Put what the body asks of the engine into the request."""
    submit.messages = chat_messages(body)
    submit.ignore_eos = bool(body.ignore_eos)
