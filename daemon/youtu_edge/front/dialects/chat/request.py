"""OpenAI's chat dialect: the body that is accepted."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.front.dialects.common.fields import GenerationFields, Tokens, check_fields, fill_fields
from youtu_edge.front.dialects.common.tools import MadeCall, Tool, ToolChoice, check_tools, offer_tools
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.prompt import ChatMessage
from youtu_edge.request_errors import InvalidRequestError

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
"""Roles of messages, and what the templates call them."""

NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "metadata": ({},),
    "modalities": (["text"],),
    "prediction": (),
    "prompt_cache_key": (),
    "reasoning_effort": (),
    "safety_identifier": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "verbosity": (),
    "web_search_options": (),
}
"""OpenAI parameters that this server does not offer, with the values that ask for nothing."""


class TextPart(msgspec.Struct, forbid_unknown_fields=True):
    """One part of a message's content."""

    type: str
    text: str


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """One turn of the conversation. An answer is accepted as a message of the assistant as it is, and as OpenAI's client
    keeps it: with `annotations`, and with `parsed` by its helpers. They mean nothing here."""

    role: str
    content: str | list[TextPart] | None = None
    name: str | None = None
    tool_calls: list[MadeCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: None = None
    annotations: list[dict[str, Any]] | None = None
    parsed: Any = None

    @property
    def text(self) -> str:
        """The content; its parts are one text."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class ChatBody(GenerationFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/chat/completions."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: Tokens | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    @property
    def limit(self) -> tuple[str, int | None]:
        """The field that limits the answer, and what it says."""
        if self.max_tokens is None:
            return "max_completion_tokens", self.max_completion_tokens
        return "max_tokens", self.max_tokens


def check(body: ChatBody) -> None:
    """What types cannot say. Raises InvalidRequestError naming the field."""
    for index, message in enumerate(body.messages):
        _check_message(f"messages[{index}]", message)
    both = body.max_tokens, body.max_completion_tokens
    if None not in both and both[0] != both[1]:
        raise InvalidRequestError("max_tokens and max_completion_tokens differ; give one of them", param="max_tokens")
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequestError("top_logprobs: only allowed with logprobs: true", param="top_logprobs")
    check_fields(body)
    check_tools(body.tools, body.tool_choice)


def fill(submit: GenerationRequest, body: ChatBody) -> None:
    """Put what the body asks of the engine into the request."""
    fill_fields(submit, body, (body.top_logprobs or 0) if body.logprobs else None)
    submit.messages = chat_messages(body)
    submit.template_kwargs = body.chat_template_kwargs or {}
    offer_tools(submit, body.tools, body.tool_choice, body.parallel_tool_calls)


def chat_messages(body: ChatBody) -> list[ChatMessage]:
    """The conversation as the engine takes it."""
    return [
        ChatMessage(
            role=ROLES[message.role],
            content=message.text,
            name=message.name,
            tool_calls=[call.as_tool_call() for call in message.tool_calls or ()],
            tool_call_id=message.tool_call_id,
            reasoning=message.reasoning_content or "",
        )
        for message in body.messages
    ]


def _check_message(where: str, message: Message) -> None:
    def refuse(field: str, why: str) -> None:
        raise InvalidRequestError(f"{where}.{field}: {why}", param=f"{where}.{field}")

    if message.role not in ROLES:
        refuse("role", f"{message.role[:40]!r} is not one of {', '.join(ROLES)}")
    for number, part in enumerate(message.content if isinstance(message.content, list) else ()):
        if part.type != "text":
            refuse(f"content[{number}].type", f"{part.type[:40]!r} is not offered; only text is")
    if message.role != "assistant":
        for field in ("tool_calls", "reasoning_content"):
            if getattr(message, field):
                refuse(field, "only an assistant's message has it")
    if message.content is None and not message.tool_calls:
        refuse("content", "is required")
    if message.role == "tool" and message.tool_call_id is None:
        refuse("tool_call_id", "is required: it tells which call this is the result of")
    if message.role != "tool" and message.tool_call_id is not None:
        refuse("tool_call_id", "only a message of role tool has it")
