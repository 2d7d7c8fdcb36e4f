"""How many sequences may share a step: the least of what heat, scarce memory and others ask for."""

from __future__ import annotations

from collections.abc import Callable

from youtu_edge.protocol.to_engine import Narrow


class BatchLimit:
    """Limits by source. `send` hands a message to the engine if it is ready; every new engine is told by `engine_ready`."""

    def __init__(self, max_sequences: int, send: Callable[[Narrow], None]) -> None:
        self.most = max_sequences
        self._send = send
        self._limits: dict[str, int] = {}
        self._told = max_sequences

    @property
    def value(self) -> int:
        """What holds now."""
        return min([self.most, *self._limits.values()])

    def set(self, source: str, limit: int) -> None:
        """Take another limit of one source; what is configured or more takes it away."""
        if limit >= self.most:
            self._limits.pop(source, None)
        else:
            self._limits[source] = max(1, limit)
        if self.value != self._told:
            self._tell()

    def engine_ready(self) -> None:
        """A new engine knows only the configuration."""
        self._told = self.most
        if self.value != self._told:
            self._tell()

    def _tell(self) -> None:
        self._told = self.value
        self._send(Narrow(self.value))
