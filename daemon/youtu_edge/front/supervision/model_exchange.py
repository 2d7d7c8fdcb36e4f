"""Answers that one version of the model began when another one replaces it."""

from __future__ import annotations

from youtu_edge.errors import UnavailableError
from youtu_edge.front.inflight.active_requests import ActiveRequests
from youtu_edge.front.supervision.package_choice import PackageChoice


class ModelExchange:
    """They resume if both versions have the same tokenizer; otherwise they fail."""

    def __init__(self, package: PackageChoice, active_requests: ActiveRequests) -> None:
        self._package = package
        self._active = active_requests
        self._tokenizer = ""

    def engine_ready(self) -> None:
        """An engine has loaded a version; requests that it cannot resume are failed."""
        former, self._tokenizer = self._tokenizer, self._package.tokenizer()
        if former in ("", self._tokenizer):
            return
        for active in self._active:
            if active.submit.sent_tokens:
                message = "the model was replaced before the answer was complete; send the request again"
                self._active.fail(active.submit.id, UnavailableError.code, message)
