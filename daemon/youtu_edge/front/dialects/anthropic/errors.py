"""Errors as Anthropic's clients expect them."""

from __future__ import annotations

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.dialects.anthropic.documents import MessageError, MessageErrorDocument

_TYPES = {
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


def message_error_document(error: YoutuEdgeError) -> MessageErrorDocument:
    """The error as Anthropic's clients expect it."""
    kind = _TYPES.get(error.http_status, "api_error")
    return MessageErrorDocument(MessageError(kind, error.message, error.param, error.code))
