"""The types of the responses that `routes` fills in."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from youtu_edge.front.status.disk import DiskFigures
from youtu_edge.front.status.history import Event, RequestFigures


class LoadedModel(msgspec.Struct, kw_only=True):
    """The loaded model."""

    name: str
    context_length: int
    pages: int
    page_tokens: int
    load_seconds: float


class StorageStatus(msgspec.Struct, kw_only=True):
    """Where data is stored; `disk` is null where nothing is on one."""

    conversations: Literal["disk", "memory"]
    disk: DiskFigures | None


class DeviceStatus(msgspec.Struct, kw_only=True):
    """What the model runs on."""

    name: Literal["cpu", "cuda"]
    note: str
    """Which GPU, or why none is used."""


class StatusDocument(msgspec.Struct, kw_only=True):
    """Answer of GET /v1/status. Objects without fixed fields hold figures; docs/operations.md explains them."""

    version: str
    state: Literal["loading", "ready", "restarting", "recycling", "draining", "gave_up", "stopped"]
    uptime_s: float
    restarts: int
    recycles: int
    degraded: str | None
    unfinished_requests: int
    unfinished_durable_requests: int
    model: LoadedModel | None
    device: DeviceStatus | None
    board: dict[str, Any]
    package: dict[str, Any]
    memory: dict[str, Any]
    engine: dict[str, Any]
    storage: StorageStatus
    requests: RequestFigures
    events: list[Event]
    """The latest, newest first."""
    accepting: bool | dict[str, Any]
    """True, or the error that a new request would get."""
