"""What the engine refused, as the error that the client gets."""

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
