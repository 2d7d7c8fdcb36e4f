"""Errors whose request the client must change; errors.py draws the whole tree."""

from __future__ import annotations

from youtu_edge.errors import YoutuEdgeError


class RequestError(YoutuEdgeError):
    """The request cannot be served as it is."""

    code = "invalid_request"
    http_status = 400


class InvalidRequestError(RequestError):
    """A field is missing, has the wrong type or lies out of range."""


class UnsupportedParameterError(RequestError):
    """A parameter is unknown, or known and not offered. Nothing is ever ignored silently."""

    code = "unsupported_parameter"


class ContextLengthError(RequestError):
    """Prompt plus answer do not fit into the context or the cache, now or ever."""

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
    """No such route, session, stored response or request."""

    code = "not_found"
    http_status = 404


class MethodNotAllowedError(RequestError):
    """The route exists, for another method."""

    code = "method_not_allowed"
    http_status = 405


class SessionBusyError(RequestError):
    """The session is answering another request; one conversation is one thread."""

    code = "session_busy"
    http_status = 409
    retryable = True


class ForbiddenError(RequestError):
    """A browser came from another site, or under a name that is not ours (DNS rebinding)."""

    code = "forbidden"
    http_status = 403


class InvalidApiKeyError(RequestError):
    """A key is needed, and the request brought none or one that is not valid."""

    code = "invalid_api_key"
    http_status = 401


class InsufficientScopeError(RequestError):
    """The key is valid, but not for this route."""

    code = "insufficient_scope"
    http_status = 403


class IdempotencyConflictError(RequestError):
    """An Idempotency-Key was used before, for a request with another body."""

    code = "idempotency_conflict"
    http_status = 422


class ModelChangedError(RequestError):
    """A durable request was begun by another model than the one that is served now."""

    code = "model_changed"
    http_status = 410
