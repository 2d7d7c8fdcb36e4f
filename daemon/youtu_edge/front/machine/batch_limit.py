"""How many sequences may share a step: the lowest of the limits for heat, memory pressure and other sources."""

from __future__ import annotations

from collections.abc import Callable

from youtu_edge.protocol.to_engine import Narrow


class BatchLimit:
    """Limits by source. `send` sends to the engine if it is ready; `engine_ready` sends the limit to every new engine."""

    def __init__(self, max_sequences: int, send: Callable[[Narrow], None]) -> None:
        self.most = max_sequences
        self._send = send
        self._limits: dict[str, int] = {}
        self._sent = max_sequences

    @property
    def value(self) -> int:
        """The limit in effect."""
        return min([self.most, *self._limits.values()])

    def set(self, source: str, limit: int) -> None:
        """Set the limit of one source; the configured number or more removes it."""
        if limit >= self.most:
            self._limits.pop(source, None)
        else:
            self._limits[source] = max(1, limit)
        if self.value != self._sent:
            self._send_limit()

    def engine_ready(self) -> None:
        """A new engine has started with the configured number."""
        self._sent = self.most
        if self.value != self._sent:
            self._send_limit()

    def _send_limit(self) -> None:
        self._sent = self.value
        self._send(Narrow(self.value))
