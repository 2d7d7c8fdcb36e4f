"""/tokenize, /detokenize and /apply-template: what the model sees of a text, for people and programs that count tokens."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.dialects.common import tools
from youtu_edge.front.dialects.common.tools import Tool
from youtu_edge.front.dialects.openai import chat_request
from youtu_edge.front.http.bodies import decode_body
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.route import Route
from youtu_edge.protocol.to_engine import Detokenize, Render, Tokenize
from youtu_edge.request_errors import InvalidRequestError

TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]

_NOT_OFFERED = {"parse_special": (False,)}
"""Text is data here: a control token inside it is never parsed."""


class TokenizeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /tokenize: exactly one of `content`, `prompt` (the same under another name) and `messages`."""

    content: str | None = None
    prompt: str | None = None
    messages: Annotated[list[chat_request.Message], Meta(min_length=1)] | None = None
    add_special: bool | None = None
    """Begin with the BOS, as /v1/completions would; a conversation always is what the template makes of it."""


class TokenizeAnswer(msgspec.Struct):
    """The token ids, and how many they are."""

    tokens: list[TokenId]
    count: int


class DetokenizeBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /detokenize."""

    tokens: list[TokenId]


class DetokenizeAnswer(msgspec.Struct):
    """The text, with control tokens written out."""

    content: str


class TemplateBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /apply-template."""

    messages: Annotated[list[chat_request.Message], Meta(min_length=1)]
    tools: list[Tool] | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class TemplateAnswer(msgspec.Struct):
    """What the chat template makes of the conversation, up to where the assistant's answer begins."""

    prompt: str


class TokenHandlers:
    """The engine answers; the front has no tokenizer."""

    def __init__(self, admission: Admission, bodies: BodyReader) -> None:
        self._admission = admission
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """Tokenizer queries."""
        return [
            Route("POST", "/tokenize", self.tokenize, body=TokenizeBody, answer=TokenizeAnswer, queries=True),
            Route("POST", "/detokenize", self.detokenize, body=DetokenizeBody, answer=DetokenizeAnswer, queries=True),
            Route("POST", "/apply-template", self.apply_template, body=TemplateBody, answer=TemplateAnswer, queries=True),
        ]

    async def tokenize(self, request: web.Request) -> web.Response:
        """POST /tokenize: token ids of a text or of a conversation."""
        body = await self._read(request, TokenizeBody)
        given = [name for name in ("content", "prompt", "messages") if getattr(body, name) is not None]
        if len(given) != 1:
            problem = "is required" if not given else f"cannot be combined with {given[1]}"
            raise InvalidRequestError(f"{(given or ['content'])[0]}: {problem}", param=(given or ["content"])[0])
        if body.messages is not None:
            if body.add_special is not None:
                raise InvalidRequestError("add_special: only for a text; leave it out with messages", param="add_special")
            reply = await self._admission.query(_render(TemplateBody(messages=body.messages)))
        else:
            text = body.content if body.content is not None else body.prompt
            reply = await self._admission.query(Tokenize(text or "", bool(body.add_special)))
        return _json(TokenizeAnswer(reply.tokens, len(reply.tokens)))

    async def detokenize(self, request: web.Request) -> web.Response:
        """POST /detokenize: the text of token ids."""
        body = await self._read(request, DetokenizeBody)
        reply = await self._admission.query(Detokenize(body.tokens))
        return _json(DetokenizeAnswer(reply.text))

    async def apply_template(self, request: web.Request) -> web.Response:
        """POST /apply-template: the prompt that the chat template makes of a conversation."""
        body = await self._read(request, TemplateBody)
        reply = await self._admission.query(_render(body))
        return _json(TemplateAnswer(reply.text))

    async def _read(self, request: web.Request, kind: type[Any]) -> Any:
        self._admission.check()
        return decode_body(await self._bodies.read(request), kind, _NOT_OFFERED if kind is TokenizeBody else {})


def _render(body: TemplateBody) -> Render:
    conversation = chat_request.ChatBody(messages=body.messages, tools=body.tools)
    chat_request.check(conversation)
    return Render(chat_request.chat_messages(conversation), body.chat_template_kwargs or {}, tools.definitions(body.tools))


def _json(document: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
