"""Errors as OpenAI-shaped HTTP responses, and the middleware that makes them of whatever a handler raises."""

from __future__ import annotations

import http
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec
from aiohttp import web

from youtu_edge.errors import (
    REQUEST_ERRORS,
    BodyTooLargeError,
    InternalError,
    InvalidApiKeyError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    OverloadedError,
    RequestError,
    RequestTimeoutError,
    YoutuEdgeError,
)
from youtu_edge.front.dialects.anthropic.documents import MessageError, MessageErrorDocument
from youtu_edge.log import line
from youtu_edge.protocol import Failed

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "invalid_request_error",
    410: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""Anthropic's type of an error, by status."""


class ErrorBody(msgspec.Struct):
    """What went wrong, and which field of the request it was."""

    message: str
    type: Literal["invalid_request_error", "rate_limit_error", "server_error"]
    param: str | None
    code: str
    """Stable; docs/api.md lists them."""


class ErrorDocument(msgspec.Struct):
    """The body of every refusal."""

    error: ErrorBody


def error_document(error: YoutuEdgeError) -> dict[str, Any]:
    """An ErrorDocument as plain values, as OpenAI's clients expect it."""
    kind: Literal["invalid_request_error", "rate_limit_error", "server_error"]
    kind = "invalid_request_error" if isinstance(error, RequestError) else "server_error"
    if isinstance(error, OverloadedError):
        kind = "rate_limit_error"
    document: dict[str, Any] = msgspec.to_builtins(
        ErrorDocument(ErrorBody(message=error.message, type=kind, param=error.param, code=error.code))
    )
    return document


def message_error_document(error: YoutuEdgeError) -> MessageErrorDocument:
    """The error as Anthropic's clients expect it."""
    kind = _ANTHROPIC.get(error.http_status, "api_error")
    return MessageErrorDocument(MessageError(kind, error.message, error.param, error.code))


def error_response(error: YoutuEdgeError, path: str = "") -> web.Response:
    """The error with its status, in the words of the dialect of `path`, and Retry-After where waiting helps."""
    is_anthropic = path.startswith("/v1/messages")
    document = message_error_document(error) if is_anthropic else error_document(error)
    response = web.Response(status=error.http_status, body=msgspec.json.encode(document), content_type="application/json")
    if (retry_after_s := getattr(error, "retry_after_s", None)) is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    if isinstance(error, InvalidApiKeyError):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, BodyTooLargeError | RequestTimeoutError):
        response.force_close()
    return response


def raw_response(error: YoutuEdgeError) -> bytes:
    """The same as bytes, for a connection that is closed before there is a request to answer."""
    body = msgspec.json.encode(error_document(error))
    lines = [
        f"HTTP/1.1 {error.http_status} {http.HTTPStatus(error.http_status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if (retry_after_s := getattr(error, "retry_after_s", None)) is not None:
        lines.append(f"Retry-After: {retry_after_s}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def failure(failed: Failed, names: Mapping[str, str]) -> YoutuEdgeError:
    """The error that a `Failed` of the engine stands for; `names` as in `renamed`."""
    kind = REQUEST_ERRORS.get(failed.code, InternalError)
    error = kind(failed.message)
    error.param = failed.param
    return renamed(error, names)


def renamed(error: YoutuEdgeError, names: Mapping[str, str]) -> YoutuEdgeError:
    """The error about a field by the name that the client's dialect has for it.

    `names` tells what the dialect calls the fields of Submit that it calls differently. What is inside of a field is
    renamed with it, and so is the name that the message begins with.
    """
    for ours, theirs in names.items():
        if error.param is not None and (error.param == ours or error.param.startswith((f"{ours}.", f"{ours}["))):
            if error.message.startswith(error.param):
                error.message = theirs + error.message.removeprefix(ours)
                error.args = (error.message,)
            error.param = theirs + error.param.removeprefix(ours)
            break
    return error


def make_error_middleware(on_refused: Callable[[str], None]) -> Any:
    """Middleware that answers every exception of a handler; `on_refused(code)` counts them."""

    @web.middleware
    async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        allow = None
        try:
            return await handler(request)
        except YoutuEdgeError as refused:
            error = refused
        except web.HTTPException as refused:
            error = _from_http(request, refused)
            allow = refused.headers.get("Allow")
        except ConnectionError:
            raise  # the client left; there is nobody to answer
        except Exception:
            log.exception(line("handler_failed", method=request.method, path=request.path))
            error = InternalError("an error of the daemon itself; its log has the details")
        on_refused(error.code)
        response = error_response(error, request.path)
        if allow is not None:
            response.headers["Allow"] = allow
        return response

    return errors


def _from_http(request: web.Request, refused: web.HTTPException) -> YoutuEdgeError:
    if isinstance(refused, web.HTTPNotFound):
        return NotFoundError(f"no route {request.path[:200]}")
    if isinstance(refused, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(refused.allowed_methods))
        return MethodNotAllowedError(f"{request.method} is not allowed on {request.path[:200]}; use {allowed}")
    if isinstance(refused, web.HTTPRequestEntityTooLarge):
        return BodyTooLargeError("the body is too large")
    return InvalidRequestError(refused.reason)
