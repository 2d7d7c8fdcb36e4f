"""The YAML configuration: its schema, its defaults and how a file is read.

Every default of the product is written here and only here; `config/youtu-edge.yaml` repeats them with comments and a test
keeps the two equal. Unknown keys and wrong types are refused with file, line, key and the nearest valid key.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which package is served, and its cache."""

    path: str = "/var/lib/youtu-edge/models/current"
    """Directory of the model package."""
    name: str = ""
    """Name that clients use in `model`; empty: the package's own."""
    context_length: NotNegative = 0
    """Tokens a sequence may hold, prompt and answer; 0: what the model was trained for."""
    page_tokens: Annotated[int, Meta(ge=16, le=1024, multiple_of=16)] = 32
    """Tokens per cache page."""
    kv_cache_max_page: Positive = 2048
    """Upper bound of cache pages; the memory budget may allow fewer."""


class MemoryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much memory both processes may use together."""

    fraction: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """Share of the device's memory (of the cgroup's limit where there is one)."""
    limit: str = ""
    """Absolute budget such as "1500M" or "2G"; wins over `fraction` when set."""


class ServiceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP server and the supervision of the engine."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    """0 picks a free port and prints it."""
    max_restart_rate: Annotated[str, Meta(pattern=r"^[1-9][0-9]*/[1-9][0-9]*$")] = "3/300"
    """Engine restarts allowed per seconds; one more and the daemon reports it and exits with code 70."""
    max_body_bytes: Positive = 2 * 1024 * 1024
    max_queue: Positive = 64
    """Requests accepted and unfinished at once; the next one is answered 429."""
    load_deadline_s: Seconds = 180.0
    """The engine must be ready within this time."""
    step_deadline_s: Seconds = 30.0
    """An engine that finishes no step for this long is killed and its requests resumed."""
    drain_s: Annotated[float, Meta(ge=0)] = 5.0
    """On stop, running requests may finish for this long."""
    log_level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$")] = "info"


class SchedulerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How requests share the steps."""

    max_sequences: Positive = 16
    """Sequences that decode together."""
    step_tokens: Positive = 512
    """Tokens in one step: decode tokens first, the rest is prefill."""
    max_stall_ms: Positive = 250
    """A prefill chunk beside running streams is cut so that it delays them by no more than about this."""


class EngineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """ONNX Runtime."""

    threads: NotNegative = 0
    """0: one per core."""
    spin_us: NotNegative = 1000
    """How long worker threads spin for work before they sleep; an idle board must not burn power."""


class GenerationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults of a request that does not say otherwise; null: what the package recommends, else greedy."""

    max_new_tokens: Positive = 512
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_k: NotNegative | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; every section may be left out."""

    model: ModelConfig = ModelConfig()
    memory: MemoryConfig = MemoryConfig()
    service: ServiceConfig = ServiceConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    engine: EngineConfig = EngineConfig()
    generation: GenerationConfig = GenerationConfig()
