"""Puts routes, middlewares and handlers together. Every route of the daemon is in this file."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from youtu_edge.config import Config
from youtu_edge.front.body_reader import BodyReader
from youtu_edge.front.chat import ChatHandlers
from youtu_edge.front.error_body import make_error_middleware
from youtu_edge.front.origin_guard import make_guard_middleware
from youtu_edge.front.status import StatusHandlers


def make_app(
    config: Config, chat: ChatHandlers, status: StatusHandlers, bodies: BodyReader, on_refused: Callable[[str], None]
) -> web.Application:
    """The aiohttp application; it holds no state of its own."""
    app = web.Application(middlewares=[make_error_middleware(on_refused), make_guard_middleware(config.service)])
    for path, get in (
        ("/", status.index),
        ("/livez", status.livez),
        ("/readyz", status.readyz),
        ("/metrics", status.metrics),
        ("/v1/models", status.models),
        ("/v1/status", status.status),
    ):
        app.router.add_get(path, get)
    for path, post in (
        ("/chat", chat.chat),
        ("/chat_stream", chat.chat_stream),
        ("/v1/chat/completions", chat.chat_completions),
    ):
        app.router.add_post(path, post, expect_handler=bodies.expect)
    return app
