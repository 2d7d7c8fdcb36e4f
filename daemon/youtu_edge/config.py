"""The configuration's schema and its defaults; config_file.py reads it from YAML.

Every default of the product is written here and only here; `config/youtu-edge.yaml` repeats them with comments and a test
keeps the two equal.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

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
    context_length: NotNegative = 0
    """Tokens a sequence may hold, prompt and answer; 0: what the model was trained for."""
    rope_scaling: RopeScaling = "none"
    """How positions are stretched when `context_length` is more than the model was trained for."""
    system_prompt: str = ""
    """System message of conversations that bring none."""
    thinking: bool | None = None
    """Whether the model thinks before it answers, where the request does not say; null: as its chat template does."""
    warm_prompts: tuple[NotEmpty, ...] = ()
    """Further system prompts, of applications, that are worth keeping warm."""
    keep_warm: bool = True
    """Compute `system_prompt` and `warm_prompts` at the start and keep them in the cache for good."""
    page_tokens: Annotated[int, Meta(ge=16, le=1024, multiple_of=16)] = 32
    """Tokens per cache page."""
    kv_cache_max_page: Positive = 2048
    """Upper bound of cache pages; the memory budget may allow fewer."""


class MemoryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much memory both processes may use together."""

    fraction: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """Share of the device's memory; a limit on our own cgroup, less 64 MB, caps it."""
    limit: str = ""
    """Absolute budget such as "1500M" or "2G"; wins over `fraction` when set."""
    return_after_s: Seconds = 5.0
    """An engine that was quiet for this long gives unused memory back to the system."""
    keep_prefixes_s: Seconds = 120.0
    """Prefixes that nobody uses stay in memory until the engine was quiet for this long."""
    min_available: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    """While less than this share of the machine's memory is available, caches are given up, then batch, then requests."""
    max_stall_percent: Annotated[float, Meta(gt=0, le=100)] = 20.0
    """The same while tasks wait for memory in more than this share of the last 10 s (pressure stall information)."""
    max_growth: str = "128M/3600"
    """An engine that grows beyond its plan by more bytes per seconds is replaced between requests; "" never."""


class ServiceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP server and the supervision of the engine."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """Address to listen on; "0.0.0.0" or "::" for every interface."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    """0 picks a free port and prints it."""
    allow_unauthenticated: bool = False
    """Listen for other machines although no key exists; where keys exist they are needed all the same."""
    keys_file: str = "/var/lib/youtu-edge/keys.json"
    """Hashes of API keys, written by `youtu-edge keys`; once it exists, every request needs one."""
    tls_certificate: str = ""
    """PEM file of the certificate and its chain; with `tls_key` the daemon speaks HTTPS."""
    tls_key: str = ""
    """PEM file of the private key."""
    cors_origins: tuple[str, ...] = ()
    """Sites whose pages may use the daemon, such as "https://panel.example"; "*" for every site."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which browsers may reach the daemon, besides IP addresses, localhost and the machine's own name."""
    max_restart_rate: str = "3/300"
    """Engine restarts allowed per seconds; one more and the daemon reports it and exits with code 70."""
    max_body_bytes: Positive = 2 * 1024 * 1024
    max_connections: NotNegative = 0
    """Open at once; 0: what the limit on open files leaves, at most 2048. At the cap those that owe a request make room."""
    header_timeout_s: Seconds = 10.0
    """A client that began a request sends its whole header within this time; one that connects, its first one."""
    body_timeout_s: Seconds = 60.0
    """A body that is not complete by then is given up."""
    idle_timeout_s: Seconds = 75.0
    """A connection without a request is closed; an answer may take as long as it likes."""
    max_queue: Positive = 64
    """Requests accepted and unfinished at once; the next one is answered 429."""
    request_timeout_s: Annotated[float, Meta(ge=0)] = 0.0
    """A request that is not finished by then fails; 0: none. The header X-Request-Timeout-S can only shorten it."""
    write_timeout_s: Seconds = 60.0
    """A client that takes nothing of its stream for so long is dropped."""
    load_deadline_s: Seconds = 180.0
    """The engine must be ready within this time."""
    step_deadline_s: Seconds = 30.0
    """An engine that finishes no step for this long is killed and its requests resumed."""
    drain_s: Annotated[float, Meta(ge=0)] = 4.0
    """On stop, running requests may finish for this long."""
    log_level: LogLevel = "info"


class SchedulerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How requests share the steps."""

    max_sequences: Positive = 16
    """Sequences that decode together."""
    step_tokens: Positive = 256
    """Tokens in one step: decode tokens first, the rest is prefill."""
    max_stall_ms: Positive = 250
    """A prefill chunk beside running streams is cut so that it delays them by no more than about this."""


class EngineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What computes: a GPU, or threads."""

    device: Device = "auto"
    """auto: an NVIDIA GPU where one can be used, else the processor; log and /v1/status say which, and why."""
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    """0: one for each fast core that the process may use; the slow ones of a big.LITTLE processor are left to others."""
    spin_us: NotNegative = 50
    """How long worker threads spin for work before they sleep. A spinning worker keeps its core from a thread that another
    process has pushed off its own, and an idle board must not burn power."""


class GenerationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults of a request that does not say otherwise; null: what the package recommends, else greedy."""

    max_new_tokens: Positive = 512
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_k: NotNegative | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Meta(ge=0.01, le=2)] | None = None
    stop: Annotated[tuple[NotEmpty, ...], Meta(max_length=8)] = ()
    """Texts that end an answer's prose, unless the request names others, offers tools or binds the answer by a grammar."""
    keep_stop: bool = False
    """Those texts stay in the answer unless they are blank: a sentence keeps its mark."""
    priority: Urgency = 3
    """Urgency of a request that does not say, 0 (first) to 7 (last), as in the header Priority of RFC 9218."""
    punctuation: Punctuation = "off"
    """"repair": give Chinese text the full-width punctuation that the model left out."""


class StorageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept on the device: conversations, and whatever else must outlive a restart."""

    directory: str = "/var/lib/youtu-edge/data"
    """Made if its parent exists; empty, or not usable: everything is kept in memory."""
    synchronous: Synchronous = "full"
    """full: a turn whose end was sent survives a power cut; normal: one fsync less, a power cut may take the last turns."""
    conversations_max_size: str = "64M"
    """Beyond it, the conversations that were not used for the longest time go."""
    responses_max_size: str = "16M"
    """The same for what /v1/responses stored."""
    conversations_max_age_days: NotNegative = 0
    """Conversations that were not used for so many days go; 0: never."""
    requests_max_size: str = "64M"
    """Of durable requests and their answers; beyond it the oldest that are finished go."""
    requests_max_age_hours: Positive = 72
    """Finished durable requests are kept for so long, counted while the daemon runs."""


class ThermalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a hot board may do to the batch."""

    soft_c: Annotated[float, Meta(ge=0, le=150)] = 0.0
    """From this temperature of the hottest sensor on, fewer sequences share a step; 0: never."""
    hysteresis_c: Annotated[float, Meta(ge=0, le=50)] = 5.0
    """The batch grows again when the hottest sensor is this much below soft_c."""


class UpdatesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a new version of the model comes to the device."""

    trust_dir: str = "/etc/youtu-edge/trust"
    """Directory of the public keys (*.pub, PEM, Ed25519) whose signatures count."""
    require_signature: bool | None = None
    """Refuse packages without a signature; null: as soon as trust_dir holds a key. A wrong signature is always refused."""
    trial_deadline_s: Seconds = 900.0
    """A new version must be loaded and tried within this time."""
    drain_s: Annotated[float, Meta(ge=0)] = 60.0
    """When another version is activated, running answers may be finished by the old one for this long."""


class ResponseCacheConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers to frequent questions, kept in storage.directory; for greedy requests and those with a seed."""

    enabled: bool = False
    ttl_s: Seconds = 86400.0
    """An answer is given again for so long."""
    max_size: str = "32M"
    """Beyond it, the answers that were not asked for the longest time go."""


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


REMOVED_KEYS = {"updates.prepare": "there is nothing to prepare any more; delete the line"}
"""Keys of earlier versions, and what to do about them."""

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:iB)?", re.ASCII)


def parse_bytes(text: str) -> int:
    """Bytes of a size such as "1500M", "2G" or "512MiB"; units are powers of 1024, as in systemd. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found or (text.strip().endswith("iB") and not found.group(2)):
        raise ValueError(f"{text!r} is not a size; write a number with K, M, G or T (powers of 1024), such as 1500M")
    size = int(float(found.group(1)) * _UNITS[found.group(2)]) if len(found.group(1)) < 20 else 2**63
    if not 0 < size < 2**63:
        raise ValueError(f"{text!r} is out of range for a size in bytes")
    return size


def check_host(text: str) -> None:
    """Whether a daemon can listen on this: an IP address, or localhost. Raises ValueError."""
    if text.lower() == "localhost":
        return
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an address; write an IP address of this machine, 127.0.0.1 for itself alone, 0.0.0.0 or :: "
            "for all interfaces (the port is service.port)"
        ) from None
    if address.is_multicast or text == "255.255.255.255":
        raise ValueError(f"{text!r} is an address of many machines; write one of this machine")
    if isinstance(address, ipaddress.IPv6Address) and address.is_link_local and not address.scope_id:
        raise ValueError(f"{text!r} needs its interface, such as {text}%eth0")


def check_site_name(text: str) -> None:
    """Whether a browser would send this as the name in Host. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f:]+", text):
        raise ValueError(
            f"{text!r} is not a name; write it without scheme and port, such as panel.example (or xn--… for others)"
        )


def check_origin(text: str) -> None:
    """Whether a browser would send this as Origin, or "*" for all of them. Raises ValueError."""
    if text != "*" and not re.fullmatch(r"https?://[a-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?", text):
        raise ValueError(
            f"{text!r} is not an origin; write scheme and host in small letters, such as https://panel.example"
        )


def parse_growth(text: str) -> tuple[int, int]:
    """(bytes, seconds) of a growth such as "128M/3600". Raises ValueError."""
    size, slash, seconds = text.partition("/")
    if not slash or not re.fullmatch(r"[1-9][0-9]{0,8}", seconds, re.ASCII):
        raise ValueError(f"{text!r} is not a growth; write bytes/seconds, such as 128M/3600")
    return parse_bytes(size), int(seconds)


def parse_restart_rate(text: str) -> tuple[int, int]:
    """(restarts, seconds) of a rate such as "3/300". Raises ValueError."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", text, re.ASCII)
    if not found:
        raise ValueError(f"{text!r} is not a rate; write restarts/seconds, such as 3/300")
    return int(found.group(1)), int(found.group(2))
