"""Errors as HTTP responses, and the middleware that turns whatever a handler raises into one."""

from __future__ import annotations

import http
import logging
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from aiohttp import web

from youtu_edge.encoding import json_bytes
from youtu_edge.errors import InternalError, OverloadedError, YoutuEdgeError
from youtu_edge.front.http.handler import Handler
from youtu_edge.log import line
from youtu_edge.request_errors import (
    BodyTooLargeError,
    InvalidApiKeyError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    RequestError,
    RequestTimeoutError,
)

log = logging.getLogger(__name__)

ErrorForm = Callable[[YoutuEdgeError], msgspec.Struct]
"""Makes the document of an error in the form of a dialect."""


class ErrorBody(msgspec.Struct):
    """The error, and the field of the request that it is about."""

    message: str
    type: Literal["invalid_request_error", "rate_limit_error", "server_error"]
    param: str | None
    code: str
    """Stable; docs/api.md lists them."""


class ErrorDocument(msgspec.Struct):
    """The body of every error response."""

    error: ErrorBody


def error_document(error: YoutuEdgeError) -> ErrorDocument:
    """The error in the form that OpenAI's clients expect."""
    kind: Literal["invalid_request_error", "rate_limit_error", "server_error"]
    kind = "invalid_request_error" if isinstance(error, RequestError) else "server_error"
    if isinstance(error, OverloadedError):
        kind = "rate_limit_error"
    return ErrorDocument(ErrorBody(error.message, kind, error.param, error.code))


def error_response(error: YoutuEdgeError, form: ErrorForm = error_document) -> web.Response:
    """The error with its status, in the form of a dialect, and Retry-After where waiting helps."""
    body = json_bytes(form(error))
    response = web.Response(status=error.http_status, body=body, content_type="application/json")
    if (retry_after_s := getattr(error, "retry_after_s", None)) is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    if isinstance(error, InvalidApiKeyError):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, BodyTooLargeError | RequestTimeoutError):
        response.force_close()
    return response


def raw_response(error: YoutuEdgeError) -> bytes:
    """The same as bytes, for a connection that is closed before there is a request to answer."""
    body = json_bytes(error_document(error))
    lines = [
        f"HTTP/1.1 {error.http_status} {http.HTTPStatus(error.http_status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if (retry_after_s := getattr(error, "retry_after_s", None)) is not None:
        lines.append(f"Retry-After: {retry_after_s}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def make_error_middleware(
    form_of: Callable[[web.Request], ErrorForm], similar_to: Callable[[web.Request], str], on_refused: Callable[[str], None]
) -> Any:
    """Middleware that answers every exception of a handler; `on_refused(code)` counts them.

    `similar_to`: what to add to the message about a path without a route.
    """

    @web.middleware
    async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        allow = None
        try:
            return await handler(request)
        except YoutuEdgeError as refused:
            error = refused
        except web.HTTPException as refused:
            error = _from_http(request, refused, similar_to)
            allow = refused.headers.get("Allow")
        except ConnectionError:
            raise  # the client has disconnected
        except Exception:
            log.exception(line("handler_failed", method=request.method, path=request.path))
            error = InternalError("internal error; see the daemon log")
        on_refused(error.code)
        response = error_response(error, form_of(request))
        if allow is not None:
            response.headers["Allow"] = allow
        return response

    return errors


def _from_http(
    request: web.Request, refused: web.HTTPException, similar_to: Callable[[web.Request], str]
) -> YoutuEdgeError:
    if isinstance(refused, web.HTTPNotFound):
        return NotFoundError(f"no route {request.path[:200]}{similar_to(request)}")
    if isinstance(refused, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(refused.allowed_methods))
        return MethodNotAllowedError(f"{request.method} is not allowed on {request.path[:200]}; use {allowed}")
    if isinstance(refused, web.HTTPRequestEntityTooLarge):
        return BodyTooLargeError("the body is too large")
    return InvalidRequestError(refused.reason)
