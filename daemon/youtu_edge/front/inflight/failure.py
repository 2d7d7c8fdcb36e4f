"""Failures that the engine reports, as the errors that clients get."""

from __future__ import annotations

from collections.abc import Mapping

from youtu_edge.errors import (
    DeadlineError,
    EngineGaveUpError,
    InternalError,
    PoisonRequestError,
    StorageError,
    UnavailableError,
    YoutuEdgeError,
)
from youtu_edge.protocol.from_engine import Failed
from youtu_edge.request_errors import (
    ContextLengthError,
    InvalidRequestError,
    ModelChangedError,
    ModelNotFoundError,
    NotFoundError,
    UnsupportedParameterError,
)

REQUEST_ERRORS: dict[str, type[YoutuEdgeError]] = {
    cls.code: cls
    for cls in (
        InvalidRequestError,
        UnsupportedParameterError,
        ContextLengthError,
        ModelNotFoundError,
        NotFoundError,
        ModelChangedError,
        StorageError,
        UnavailableError,
        DeadlineError,
        EngineGaveUpError,
        PoisonRequestError,
        InternalError,
    )
}
"""Errors that may end a request that was submitted, by code."""


def failure(failed: Failed, names: Mapping[str, str]) -> YoutuEdgeError:
    """The error that a `Failed` of the engine stands for; `names` as in `renamed`."""
    kind = REQUEST_ERRORS.get(failed.code, InternalError)
    error = kind(failed.message)
    error.param = failed.param
    return renamed(error, names)


def renamed(error: YoutuEdgeError, names: Mapping[str, str]) -> YoutuEdgeError:
    """The error with the field named as in the client's dialect.

    `names` maps fields of Submit to the dialect's names where those differ. Paths inside a field are renamed with it, and
    so is the name at the beginning of the message.
    """
    for ours, theirs in names.items():
        if error.param is not None and (error.param == ours or error.param.startswith((f"{ours}.", f"{ours}["))):
            if error.message.startswith(error.param):
                error.message = theirs + error.message.removeprefix(ours)
                error.args = (error.message,)
            error.param = theirs + error.param.removeprefix(ours)
            break
    return error
