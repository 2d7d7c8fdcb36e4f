"""Explains why a hub rejected a request."""

from __future__ import annotations

import os

from youtu_export.hubs.hub import Hub
from youtu_export.hubs.web import RefusedError

_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404


def refusal(hub: Hub, model: str, revision: str, error: RefusedError, path: str | None = None) -> str:
    """The reason and what to do, without the name of the model.

    Hugging Face answers 401 both for a model that does not exist and for a private one; X-Error-Code says which.
    """
    token = hub.token_variable
    if error.error_code == "GatedRepo" or error.status == _FORBIDDEN:
        return (
            f"access is restricted ({error.message}): accept its conditions on {hub.page(model, revision)} "
            f"and set {token} to a token of your account"
        )
    if error.error_code == "RevisionNotFound":
        return f"no revision {revision!r} on {hub.endpoint}: use a branch, a tag or a commit"
    if error.status == _UNAUTHORISED:
        private = f"the token in {token} may not read it" if os.environ.get(token) else f"it is private: set {token}"
        return f"not a local path, and {hub.endpoint} has no such model, or {private}"
    if error.status == _NOT_FOUND and path is not None:
        return f"{hub.endpoint} lists this file but does not have it ({error.message}); choose another --revision"
    if error.status == _NOT_FOUND:
        return f"not a local path, and {hub.endpoint} has no such model or no revision {revision!r} ({error.message})"
    return f"{hub.endpoint}: {error.message}"
