"""The configuration's schema and its defaults; config_file.py reads it from YAML.

Every default is defined here and nowhere else. `config/youtu-edge.yaml` repeats them with comments; a test compares the
two.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from youtu_edge.config_values import parse_bytes, parse_growth, parse_restart_rate

Punctuation = Literal["off", "repair"]
Synchronous = Literal["full", "normal"]
LogLevel = Literal["debug", "info", "warning", "error"]
Device = Literal["auto", "cpu", "cuda"]
RopeScaling = Literal["none", "linear", "dynamic", "yarn"]
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
NotEmpty = Annotated[str, Meta(min_length=1)]
Urgency = Annotated[int, Meta(ge=0, le=7)]
Seconds = Annotated[float, Meta(gt=0)]


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which package is served, and its cache."""

    path: str = "/var/lib/youtu-edge/models/current"
    """Directory of the model package."""
    name: str = ""
    """Name that clients use in `model`; empty: the package's own."""
    aliases: Literal["*"] | tuple[NotEmpty, ...] = ()
    """Further names that clients may use; "*": whatever they say."""
    context_length: NotNegative = 0
    """Tokens a sequence may hold, prompt and answer; 0: what the model was trained for."""
    rope_scaling: RopeScaling = "none"
    """How positions are stretched when `context_length` is more than the model was trained for."""
    system_prompt: str = ""
    """System message for conversations that have none of their own."""
    thinking: bool | None = None
    """Whether the model thinks before it answers if the request does not say; null: the chat template's default."""
    warm_prompts: tuple[NotEmpty, ...] = ()
    """More system prompts to keep warm, such as those of applications."""
    keep_warm: bool = True
    """Compute `system_prompt` and `warm_prompts` at startup and pin them in the cache."""
    page_tokens: Annotated[int, Meta(ge=16, le=1024, multiple_of=16)] = 32
    """Tokens per cache page."""
    kv_cache_max_page: Positive = 2048
    """Upper bound on cache pages; the memory budget may allow fewer."""


class MemoryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much memory both processes may use together."""

    fraction: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """Share of the device's memory, capped by the limit of our own cgroup less 64 MB."""
    limit: str = ""
    """Absolute budget such as "1500M" or "2G"; overrides `fraction` when set."""
    return_after_s: Seconds = 5.0
    """An engine that has been idle for this long returns unused memory to the system."""
    keep_prefixes_s: Seconds = 120.0
    """Prefixes that no request uses stay cached until the engine has been idle for this long."""
    min_available: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    """Below this share of available memory the daemon drops caches, then shrinks the batch, then rejects requests."""
    max_stall_percent: Annotated[float, Meta(gt=0, le=100)] = 20.0
    """The same if tasks stalled on memory for more than this share of the last 10 s (pressure stall information)."""
    max_growth: str = "128M/3600"
    """Bytes/seconds: an engine that outgrows its plan faster than this is replaced between requests; "": never."""

    @property
    def limit_bytes(self) -> int | None:
        """`limit`; None if `fraction` applies."""
        return parse_bytes(self.limit) if self.limit else None

    @property
    def growth(self) -> tuple[int, int] | None:
        """`max_growth` as (bytes, seconds); None for never."""
        return parse_growth(self.max_growth) if self.max_growth else None


class ServiceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP server and the supervision of the engine."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """Address to listen on; "0.0.0.0" or "::" for every interface."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    """0 picks a free port and prints it."""
    extra_ports: tuple[Annotated[int, Meta(ge=1, le=65535)], ...] = ()
    """Further ports of `host`, such as 11434, where clients of Ollama look."""
    allow_unauthenticated: bool = False
    """Accept other machines although no API key exists; if keys exist, they are still required."""
    keys_file: str = "/var/lib/youtu-edge/keys.json"
    """Hashes of API keys, written by `youtu-edge keys`; once it exists, every request needs a key."""
    tls_certificate: str = ""
    """PEM file of the certificate and its chain; with `tls_key` the daemon speaks HTTPS."""
    tls_key: str = ""
    """PEM file of the private key."""
    cors_origins: tuple[str, ...] = ()
    """Sites whose pages may use the daemon, such as "https://panel.example"; "*" for every site."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which browsers may reach the daemon, besides IP addresses, localhost and the machine's own name."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, such as "10.0.0.0/8"."""
    board: str = ""
    """Name of this board behind a balancer: in a header, a cookie and the ids made here; empty: a hash, header only."""
    mdns: bool = False
    """Announce the daemon in the local network, as `board` or the machine's name; needs the extra `home`."""
    max_restart_rate: str = "3/300"
    """Engine restarts/seconds allowed; after one more the daemon reports it and exits with code 70."""
    max_body_bytes: Positive = 2 * 1024 * 1024
    max_connections: NotNegative = 0
    """Open at once; 0: what the open-file limit allows, at most 2048. At the cap, those without a request are closed."""
    header_timeout_s: Seconds = 10.0
    """Time for a request's whole header, from its first byte; for the first request, from connecting."""
    body_timeout_s: Seconds = 60.0
    """A body that is incomplete by then is rejected."""
    idle_timeout_s: Seconds = 75.0
    """A connection without a request is closed after this time; answers may take any time."""
    max_queue: Positive = 64
    """Unfinished requests at once; one more is rejected with 429."""
    request_timeout_s: Annotated[float, Meta(ge=0)] = 0.0
    """Deadline of a request; 0: none. The header X-Request-Timeout-S can only shorten it."""
    write_timeout_s: Seconds = 60.0
    """A client that reads nothing from its stream for this long is disconnected."""
    load_deadline_s: Seconds = 180.0
    """The engine must be ready within this time."""
    step_deadline_s: Seconds = 30.0
    """An engine that finishes no step for this long is killed and its requests resumed."""
    drain_delay_s: Annotated[float, Meta(ge=0)] = 0.0
    """On shutdown, /readyz is 503 for this long before new requests are rejected, so that a balancer notices."""
    drain_s: Annotated[float, Meta(ge=0)] = 4.0
    """On shutdown, running requests get this long to finish."""
    log_level: LogLevel = "info"

    @property
    def restart_rate(self) -> tuple[int, int]:
        """`max_restart_rate` as (restarts, seconds)."""
        return parse_restart_rate(self.max_restart_rate)


class SchedulerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How requests share the steps."""

    max_sequences: Positive = 16
    """Sequences that decode together."""
    step_tokens: Positive = 256
    """Tokens in one step: decode tokens first, the rest is prefill."""
    max_stall_ms: Positive = 250
    """While streams are running, prefill chunks are sized to delay them by no more than about this."""


class EngineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The compute device: a GPU, or threads of the processor."""

    device: Device = "auto"
    """auto: an NVIDIA GPU if one is usable, else the processor; log and /v1/status say which, and why."""
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    """0: one per fast core that the process may use; the slow cores of a big.LITTLE processor are left free."""
    spin_us: NotNegative = 50
    """How long worker threads spin before they sleep. A spinning worker keeps its core from a thread that another
    process has displaced, and an idle board must not waste power."""


class GenerationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults for what a request leaves out; null: what the package recommends, else greedy."""

    max_new_tokens: Positive = 512
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_k: NotNegative | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Meta(ge=0.01, le=2)] | None = None
    stop: Annotated[tuple[NotEmpty, ...], Meta(max_length=32)] = ()
    """Stop strings of answers in prose; unused if the request has its own, offers tools or constrains the answer."""
    keep_stop: bool = False
    """Keep the stop string in the answer unless it is blank, so that a sentence keeps its full stop."""
    priority: Urgency = 3
    """Default urgency, 0 (first) to 7 (last), as in the Priority header of RFC 9218."""
    punctuation: Punctuation = "off"
    """"repair": give Chinese text the full-width punctuation that the model left out."""


class StorageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept on the device across restarts, such as conversations."""

    directory: str = "/var/lib/youtu-edge/data"
    """Created if its parent exists; if empty or unusable, everything is kept in memory."""
    synchronous: Synchronous = "full"
    """full: a turn whose end was sent survives a power cut; normal: one fsync less, a power cut may lose the last turns."""
    conversations_max_size: str = "64M"
    """Beyond it, the least recently used conversations are deleted."""
    responses_max_size: str = "16M"
    """The same for the stored responses of /v1/responses."""
    conversations_max_age_days: NotNegative = 0
    """Conversations unused for this many days are deleted; 0: never."""
    requests_max_size: str = "64M"
    """Of durable requests and their answers; beyond it, the oldest finished ones are deleted."""
    requests_max_age_hours: Positive = 72
    """Finished durable requests are kept for this long, counted while the daemon runs."""

    @property
    def conversations_max_bytes(self) -> int:
        """`conversations_max_size`."""
        return parse_bytes(self.conversations_max_size)

    @property
    def responses_max_bytes(self) -> int:
        """`responses_max_size`."""
        return parse_bytes(self.responses_max_size)

    @property
    def requests_max_bytes(self) -> int:
        """`requests_max_size`."""
        return parse_bytes(self.requests_max_size)


class ThermalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a hot board limits the batch."""

    soft_c: Annotated[float, Meta(ge=0, le=150)] = 0.0
    """When the hottest sensor reaches this temperature, fewer sequences share a step; 0: never."""
    hysteresis_c: Annotated[float, Meta(ge=0, le=50)] = 5.0
    """The batch grows again when the hottest sensor is this far below soft_c."""


class UpdatesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How new model versions are checked and activated."""

    trust_dir: str = "/etc/youtu-edge/trust"
    """Directory of the trusted public keys (*.pub, PEM, Ed25519)."""
    require_signature: bool | None = None
    """Reject unsigned packages; null: if trust_dir holds a key. A wrong signature is always rejected."""
    trial_deadline_s: Seconds = 900.0
    """A new version must load and pass its trial within this time."""
    drain_s: Annotated[float, Meta(ge=0)] = 60.0
    """After a switch to another version, the old one gets this long to finish running answers."""


class ResponseCacheConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cached answers to repeated requests, kept in storage.directory; only for greedy requests and those with a seed."""

    enabled: bool = False
    ttl_s: Seconds = 86400.0
    """A cached answer is reused for this long."""
    max_size: str = "32M"
    """Beyond it, the least recently used answers are evicted."""

    @property
    def max_bytes(self) -> int:
        """`max_size`."""
        return parse_bytes(self.max_size)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; every section may be left out."""

    model: ModelConfig = ModelConfig()
    memory: MemoryConfig = MemoryConfig()
    service: ServiceConfig = ServiceConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    engine: EngineConfig = EngineConfig()
    generation: GenerationConfig = GenerationConfig()
    storage: StorageConfig = StorageConfig()
    response_cache: ResponseCacheConfig = ResponseCacheConfig()
    thermal: ThermalConfig = ThermalConfig()
    updates: UpdatesConfig = UpdatesConfig()


REMOVED_KEYS = {"updates.prepare": "no longer used; delete the line"}
"""Keys of earlier versions, and what to do about them."""
