"""The handlers of the tokenizer routes. The engine answers them between its steps: the front has no tokenizer."""

from __future__ import annotations

from aiohttp import web

from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.dialects.tokens.request import (
    FIELDS,
    DetokenizeBody,
    TemplateBody,
    TokenizeBody,
    template_query,
    tokenizer_query,
)
from youtu_edge.front.dialects.tokens.response import DetokenizeAnswer, TemplateAnswer, TokenizeAnswer
from youtu_edge.front.http.bodies import Body, decode_body
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.field_table import NO_FIELDS, FieldTable
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.route import Route
from youtu_edge.protocol.to_engine import Detokenize


class TokenHandlers:
    """They generate nothing, so admission is all they need of the front."""

    def __init__(self, admission: Admission, bodies: BodyReader) -> None:
        self._admission = admission
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """Tokenizer queries."""
        return [
            Route(
                "POST", "/tokenize", self.tokenize, body=TokenizeBody, others=FIELDS, answer=TokenizeAnswer, queries=True
            ),
            Route("POST", "/detokenize", self.detokenize, body=DetokenizeBody, answer=DetokenizeAnswer, queries=True),
            Route("POST", "/apply-template", self.apply_template, body=TemplateBody, answer=TemplateAnswer, queries=True),
        ]

    async def tokenize(self, request: web.Request) -> web.Response:
        """POST /tokenize: token ids of a text or of a conversation."""
        body = await self._read(request, TokenizeBody, FIELDS)
        reply = await self._admission.query(tokenizer_query(body))
        return json_response(TokenizeAnswer(reply.tokens, len(reply.tokens)))

    async def detokenize(self, request: web.Request) -> web.Response:
        """POST /detokenize: the text of token ids."""
        body = await self._read(request, DetokenizeBody)
        reply = await self._admission.query(Detokenize(body.tokens))
        return json_response(DetokenizeAnswer(reply.text))

    async def apply_template(self, request: web.Request) -> web.Response:
        """POST /apply-template: the prompt that the chat template makes of a conversation."""
        body = await self._read(request, TemplateBody)
        reply = await self._admission.query(template_query(body))
        return json_response(TemplateAnswer(reply.text))

    async def _read(self, request: web.Request, kind: type[Body], others: FieldTable = NO_FIELDS) -> Body:
        self._admission.check()
        return decode_body(await self._bodies.read(request), kind, others)
