"""The bodies of the tokenizer routes, and the queries for the engine's tokenizer that follow from them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.front.dialects.common.messages import MAX_MESSAGES, Message, chat_messages, check_messages
from youtu_edge.front.dialects.common.tools import Tool, check_tools, definitions
from youtu_edge.front.http.field_table import FieldTable, Refused
from youtu_edge.protocol.to_engine import Render, Tokenize
from youtu_edge.request_errors import InvalidRequestError

TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]

FIELDS = FieldTable({"parse_special": Refused(False), "with_pieces": Refused(False)})
"""Text is data: a control token inside it is never parsed."""


class TokenizeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /tokenize: exactly one of `content`, `prompt` (the same under another name) and `messages`."""

    content: str | None = None
    prompt: str | None = None
    messages: Annotated[list[Message], Meta(min_length=1, max_length=MAX_MESSAGES)] | None = None
    add_special: bool | None = None
    """Begin with the BOS token, as /v1/completions does; only for a text, as a conversation follows the template."""


class DetokenizeBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /detokenize."""

    tokens: list[TokenId]


class TemplateBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /apply-template."""

    messages: Annotated[list[Message], Meta(min_length=1, max_length=MAX_MESSAGES)]
    tools: list[Tool] | None = None
    chat_template_kwargs: dict[str, Any] | None = None


def tokenizer_query(body: TokenizeBody) -> Tokenize | Render:
    """The query for a text or a conversation. Raises InvalidRequestError naming the field."""
    given = [name for name in ("content", "prompt", "messages") if getattr(body, name) is not None]
    if len(given) != 1:
        problem = "is required" if not given else f"cannot be combined with {given[1]}"
        raise InvalidRequestError(f"{(given or ['content'])[0]}: {problem}", param=(given or ["content"])[0])
    if body.messages is None:
        text = body.content if body.content is not None else body.prompt
        return Tokenize(text or "", bool(body.add_special))
    if body.add_special is not None:
        raise InvalidRequestError("add_special: only for a text; leave it out with messages", param="add_special")
    return template_query(TemplateBody(messages=body.messages))


def template_query(body: TemplateBody) -> Render:
    """The query for a conversation. Raises InvalidRequestError naming the field."""
    check_messages(body.messages)
    check_tools(body.tools, None)
    return Render(chat_messages(body.messages), body.chat_template_kwargs or {}, definitions(body.tools))
