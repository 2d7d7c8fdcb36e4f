"""The answer of GET /v1/status as lines of text for a technician. A figure that the daemon does not report is left out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from youtu_edge.errors import one_line

_MIB = 1024 * 1024
Document = dict[str, Any]


def is_ready(document: Document) -> bool:
    """Whether the engine is ready and a new request would be accepted."""
    return document["state"] == "ready" and document.get("accepting") is True


def screen(document: Document, url: str, before: Document | None = None) -> list[str]:
    """The lines, without control characters; with tokens/s if `before` is an earlier answer of the same daemon."""
    rows = {
        "state": _state(document),
        "new request": _new_request(document),
        "model": _model(document),
        "package": _package(document.get("package") or {}),
        "update": _update((document.get("package") or {}).get("update") or {}),
        "requests": _requests(document),
        "tokens": _tokens(document["engine"]),
        "tokens/s": _rates(document, before),
        "restarts": _restarts(document),
        "memory": _memory(document.get("memory") or {}),
        "machine": _machine(document.get("memory") or {}),
        "cache": _cache(document),
        "board": "; ".join(_board(document.get("board") or {})),
        "device": _device(document.get("device")),
        "storage": _storage(document.get("storage") or {}),
    }
    title = f"youtu-edge {document['version']} at {url}, up {duration(document.get('uptime_s') or 0)}"
    return [one_line(title), *(one_line(f"{name:<12} {text}") for name, text in rows.items() if text)]


def tokens_per_second(document: Document, before: Document | None) -> tuple[float, float] | None:
    """Generated and prompt tokens per second between two answers, by the daemon's clock; None after its restart."""
    if before is None:
        return None
    seconds = document["uptime_s"] - before["uptime_s"]
    decoded, prompts = (document["engine"][name] - before["engine"][name] for name in ("decode_tokens", "prefill_tokens"))
    return (decoded / seconds, prompts / seconds) if seconds > 0 and decoded >= 0 and prompts >= 0 else None


def _state(document: Document) -> str:
    degraded = document.get("degraded")
    return f"{document['state']}{f', degraded after crashes: {degraded}' if degraded else ''}"


def _new_request(document: Document) -> str:
    refusal = document.get("accepting")
    if refusal is True:
        return "accepted" if document["state"] == "ready" else "accepted, and waits for the engine"
    if not isinstance(refusal, dict):
        return ""
    return f"rejected: {refusal.get('code')}: {refusal.get('message')}"


def _model(document: Document) -> str:
    model = document.get("model")
    if not model:
        return "none is loaded"
    return f"{model['name']}, context of {model['context_length']} tokens, loaded in {model['load_seconds']:.1f} s"


def _package(package: Document) -> str:
    parts = [str(package["version"])] if package.get("version") else []
    if package.get("release"):
        parts.append(f"release {package['release']}")
    if package.get("on_trial"):
        parts.append("on trial until its first answer")
    if refused := package.get("refused"):
        parts.append(f"{refused.get('version')} was refused: {refused.get('reason')}; back to {refused.get('back_to')}")
    return ", ".join(parts)


def _update(update: Document) -> str:
    """What became of the last `youtu-edge model install https://…`, and when."""
    if not update:
        return ""
    what = f"release {update['release']}: " if update.get("release") else ""
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(update.get("at", 0)))
    size = update.get("size", 0)
    how_far = (
        f", {_mib(update.get('received', 0))} of {_mib(size)} MiB" if update["stage"] == "downloading" and size else ""
    )
    note = f": {update['note']}" if update.get("note") else ""
    return f"{at} {what}{update['stage']}{how_far}{note}"


def _requests(document: Document) -> str:
    engine = document["engine"]
    durable = document.get("unfinished_durable_requests")
    return (
        f"{document.get('unfinished_requests', 0)} unfinished{f', {durable} durable' if durable else ''}; "
        f"sequences: {engine.get('running', 0)} running, {engine.get('waiting', 0)} waiting"
    )


def _tokens(engine: Document) -> str:
    return (
        f"{engine['decode_tokens']} generated, {engine['prefill_tokens']} of prompts, "
        f"{engine.get('cached_tokens', 0)} of prompts from the cache"
    )


def _rates(document: Document, before: Document | None) -> str:
    rates = tokens_per_second(document, before)
    return f"{rates[0]:.1f} generated, {rates[1]:.1f} of prompts" if rates else ""


def _restarts(document: Document) -> str:
    return f"{document.get('restarts', 0)} after a death of the engine, {document.get('recycles', 0)} planned"


def _memory(memory: Document) -> str:
    """Resident memory of both processes; a GPU's budget is that of its own memory, and its plan has no front."""
    front, engine = memory.get("front_resident_bytes") or 0, memory.get("engine_resident_bytes") or 0
    plan = memory.get("engine_plan_bytes") or {}
    text = f"front {_mib(front)} + engine {_mib(engine)}"
    budget = plan.get("budget")
    if not budget:
        return f"{text} = {_mib(front + engine)} MiB"
    if not plan.get("front"):
        return f"{text} = {_mib(front + engine)} MiB; budget of the GPU {_mib(budget)} MiB"
    return f"{text} = {_mib(front + engine)} of {_mib(budget)} MiB ({100 * (front + engine) / budget:.0f} %)"


def _machine(memory: Document) -> str:
    parts = []
    if (available := memory.get("available_bytes")) is not None:
        parts.append(f"{_mib(available)} MiB available")
    if (pressure := memory.get("pressure")) is not None:
        parts.append(f"pressure {pressure}")
    if (stalled := memory.get("stall_percent")) is not None:
        parts.append(f"stalled {stalled:.1f} % of the time")
    return ", ".join(parts)


def _cache(document: Document) -> str:
    engine, model = document["engine"], document.get("model") or {}
    total = engine.get("pages_total") or model.get("pages")
    if not total:
        return ""
    size = f"; {model['page_tokens']} tokens each" if model else ""
    return f"{engine.get('pages_used', 0)} of {total} pages in use, {engine.get('pages_cached', 0)} kept for reuse{size}"


def _board(board: Document) -> Iterator[str]:
    if temperatures := board.get("temperatures"):
        yield ", ".join(f"{sensor} {value:.0f} °C" for sensor, value in temperatures.items())
    if (throttled := board.get("throttled")) is not None:
        yield "throttled" if throttled else "not throttled"
    if (limit := board.get("max_sequences")) is not None:
        yield f"heat limits the batch to {limit}"
    if (clock := board.get("frequency_mhz")) is not None:
        most = board.get("frequency_limit_mhz")
        yield f"{clock}{f' of {most}' if most is not None else ''} MHz"
    if (mode := board.get("power_mode")) is not None:
        yield f"power mode {mode}"
    if (governor := board.get("governor")) is not None:
        yield f"governor {governor}"
    for name in ("gpu", "ddr"):
        if (load := board.get(f"{name}_load")) is not None:
            yield f"{name} load {100 * load:.0f} %"


def _device(device: Document | None) -> str:
    if not device:
        return ""
    return f"{device['name']}: {device['note']}" if device.get("note") else str(device["name"])


def _storage(storage: Document) -> str:
    where = storage.get("conversations")
    return f"conversations {'on disk' if where == 'disk' else 'in memory only: a restart loses them'}" if where else ""


def duration(seconds: float) -> str:
    """Such as "3 h 12 min"."""
    minutes, hours = int(seconds) // 60, int(seconds) // 3600
    if hours >= 24:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {int(seconds) % 60} s"


def _mib(size: int) -> int:
    return round(size / _MIB)
