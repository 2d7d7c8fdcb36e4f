"""Keeps update.json up to date while `youtu-edge model install https://…` runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from youtu_edge.updates.update_state import UpdateState, read_state, write_state

_PROGRESS_EVERY_S = 2.0
_MOST_REJECTED = 8


class UpdateReport:
    """`known_rejections`: sha256 of archives whose packages were rejected here before -> why."""

    def __init__(self, store: Path, source: str) -> None:
        before = read_state(store)
        self.known_rejections = before.rejected if before else {}
        self._store = store
        self._state = UpdateState(stage="downloading", source=source, rejected=self.known_rejections)
        self._written_at = float("-inf")

    def change(self, **fields: Any) -> None:
        """Write the state with these fields of UpdateState changed."""
        self._state = msgspec.structs.replace(self._state, **fields)
        self._written_at = time.monotonic()
        write_state(self._store, self._state)

    def progress(self, received: int, size: int) -> None:
        """Write it now and then, and at the end."""
        if received == size or time.monotonic() - self._written_at >= _PROGRESS_EVERY_S:
            self.change(stage="downloading", received=received, size=size, note="")

    def rejected(self, reason: str) -> None:
        """The package of the archive is not fit for this board; remembered for the next commands."""
        others = [(sha256, why) for sha256, why in self._state.rejected.items() if sha256 != self._state.sha256]
        self.change(stage="rejected", note=reason, rejected=dict([*others, (self._state.sha256, reason)][-_MOST_REJECTED:]))

    def failed(self, reason: str) -> None:
        """The command ends with an error."""
        if self._state.stage != "rejected":
            self.change(stage="failed", note=reason)
