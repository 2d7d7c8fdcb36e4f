"""Puts routes, middlewares and handlers together. Every route of the daemon is in this file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from youtu_edge.config import Config
from youtu_edge.front import openai, plain
from youtu_edge.front.body_reader import BodyReader
from youtu_edge.front.chat import ChatHandlers
from youtu_edge.front.error_body import make_error_middleware
from youtu_edge.front.openapi import OpenApiHandler
from youtu_edge.front.origin_guard import make_guard_middleware
from youtu_edge.front.route import Route
from youtu_edge.front.status import StatusHandlers
from youtu_edge.front.tokens import (
    DetokenizeAnswer,
    DetokenizeBody,
    TemplateAnswer,
    TemplateBody,
    TokenHandlers,
    TokenizeAnswer,
    TokenizeBody,
)


def make_app(
    config: Config,
    chat: ChatHandlers,
    tokens: TokenHandlers,
    status: StatusHandlers,
    bodies: BodyReader,
    on_refused: Callable[[str], None],
) -> web.Application:
    """The aiohttp application; it holds no state of its own."""
    app = web.Application(middlewares=[make_error_middleware(on_refused), make_guard_middleware(config.service)])
    for route in make_routes(chat, tokens, status):
        route.install(app, bodies.expect)
    return app


def make_routes(chat: ChatHandlers, tokens: TokenHandlers, status: StatusHandlers) -> list[Route]:
    """The table of routes. A new one needs a line here, a docstring and types; /openapi.json follows by itself."""
    routes = [
        Route(method="GET", path="/", handler=status.index, answer=str),
        Route(method="GET", path="/livez", handler=status.livez, answer=str),
        Route(method="GET", path="/readyz", handler=status.readyz, answer=str, errors={503: str}),
        Route(method="GET", path="/metrics", handler=status.metrics, answer=str),
        Route(method="GET", path="/v1/models", handler=status.models),
        Route(method="GET", path="/v1/status", handler=status.status),
        Route(method="POST", path="/chat", handler=chat.chat, body=plain.PlainBody, generates=True),
        Route(
            method="POST",
            path="/chat_stream",
            handler=chat.chat_stream,
            body=plain.PlainBody,
            answer=None,
            events=dict[str, Any],
            generates=True,
        ),
        Route(
            method="POST",
            path="/v1/chat/completions",
            handler=chat.chat_completions,
            body=openai.ChatBody,
            events=dict[str, Any],
            last_event="[DONE]",
            generates=True,
        ),
        Route(
            method="POST",
            path="/tokenize",
            handler=tokens.tokenize,
            body=TokenizeBody,
            answer=TokenizeAnswer,
            generates=True,
        ),
        Route(
            method="POST",
            path="/detokenize",
            handler=tokens.detokenize,
            body=DetokenizeBody,
            answer=DetokenizeAnswer,
            generates=True,
        ),
        Route(
            method="POST",
            path="/apply-template",
            handler=tokens.apply_template,
            body=TemplateBody,
            answer=TemplateAnswer,
            generates=True,
        ),
    ]
    document = OpenApiHandler(routes)
    routes.append(Route(method="GET", path="/openapi.json", handler=document.openapi))
    return routes
