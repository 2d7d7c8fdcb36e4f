"""Errors of requests that the client must change; errors.py has the whole tree."""

from __future__ import annotations

from youtu_edge.errors import YoutuEdgeError


class RequestError(YoutuEdgeError):
    """The request is not valid; the client must change it."""

    code = "invalid_request"
    http_status = 400


class InvalidRequestError(RequestError):
    """A field is missing, has the wrong type or is out of range."""


class UnsupportedParameterError(RequestError):
    """A parameter is unknown or not supported. Nothing is ever ignored silently."""

    code = "unsupported_parameter"


class NotOfferedError(RequestError):
    """A route of a dialect that has no counterpart here; the message says what to do instead."""

    code = "not_offered"


class ContextLengthError(RequestError):
    """Prompt plus answer do not fit the context or the cache, even when it is empty."""

    code = "context_length_exceeded"


class ModelNotFoundError(RequestError):
    """The request names a model that is not loaded."""

    code = "model_not_found"
    http_status = 404


class RequestTimeoutError(RequestError):
    """The client did not send the whole header or body in time."""

    code = "request_timeout"
    http_status = 408
    retryable = True


class BodyTooLargeError(RequestError):
    """The HTTP body is larger than `service.max_body_bytes`."""

    code = "body_too_large"
    http_status = 413


class NotFoundError(RequestError):
    """No such route, session, stored response or request. `name`: the id that was looked for, if there is one."""

    code = "not_found"
    http_status = 404

    def __init__(self, message: str, *, param: str | None = None, name: str = "") -> None:
        super().__init__(message, param=param)
        self.name = name


class ElsewhereError(RequestError):
    """The session, stored response or request is kept on another board, as its id tells."""

    code = "elsewhere"
    http_status = 404


class MethodNotAllowedError(RequestError):
    """The route exists, but not for this method."""

    code = "method_not_allowed"
    http_status = 405


class SessionBusyError(RequestError):
    """The session is answering another request; a conversation answers one at a time."""

    code = "session_busy"
    http_status = 409
    retryable = True


class ForbiddenError(RequestError):
    """A browser's request came from another site, or for a host name that is not ours (DNS rebinding)."""

    code = "forbidden"
    http_status = 403


class InvalidApiKeyError(RequestError):
    """A key is required, and the request has none or an invalid one."""

    code = "invalid_api_key"
    http_status = 401


class InsufficientScopeError(RequestError):
    """The key is valid, but not for this route."""

    code = "insufficient_scope"
    http_status = 403


class IdempotencyConflictError(RequestError):
    """The Idempotency-Key was already used for a request with another body."""

    code = "idempotency_conflict"
    http_status = 422


class ModelChangedError(RequestError):
    """A durable request was started by a model other than the one served now."""

    code = "model_changed"
    http_status = 410
