"""The served model as Ollama's clients list it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from youtu_edge.front.admission.served_model import CurrentModel, ServedModel
from youtu_edge.front.dialects.ollama.request import tagged
from youtu_edge.package import Manifest
from youtu_edge.protocol.from_engine import Ready
from youtu_edge.protocol.tags import THOUGHTS
from youtu_edge.recommendation import Recommendation

API_VERSION = "0.12.0"
"""Ollama's version whose API this is; clients compare it with the oldest that they work with."""

_NEVER = datetime(9999, 12, 31, tzinfo=UTC)

Capability = Literal["completion", "tools", "insert", "thinking"]

_OLLAMA_NAMES = {"repetition_penalty": "repeat_penalty"}
"""Ollama's names of sampling parameters, where they differ."""


_SUFFIX = "{# .Suffix #}"
"""A comment of Jinja. Editors send `suffix` only where they find the variable of Ollama's own templates."""


class OllamaVersion(msgspec.Struct):
    """Answer of GET /api/version."""

    version: str
    """Of Ollama's API."""
    youtu_edge: str
    """Of this daemon."""


class OllamaDetails(msgspec.Struct, kw_only=True):
    """What a model is."""

    parent_model: str = ""
    format: Literal["onnx"] = "onnx"
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaModel(msgspec.Struct, kw_only=True):
    """A model on the device."""

    name: str
    model: str
    modified_at: datetime
    """When it was loaded."""
    size: int
    """Bytes of its package."""
    digest: str
    """Checksum of its package."""
    details: OllamaDetails


class OllamaModelList(msgspec.Struct):
    """Answer of GET /api/tags."""

    models: Sequence[OllamaModel]


class OllamaRunningModel(msgspec.Struct, kw_only=True):
    """A model in memory. It is never unloaded, which `expires_at` says with a time in the year 9999."""

    name: str
    model: str
    size: int
    """Bytes that the engine planned for weights, cache and everything else."""
    size_vram: int
    """The same if a GPU holds them, else 0."""
    digest: str
    details: OllamaDetails
    expires_at: datetime
    context_length: int


class OllamaRunningList(msgspec.Struct):
    """Answer of GET /api/ps."""

    models: list[OllamaRunningModel]


class OllamaModelInfo(msgspec.Struct, kw_only=True):
    """Answer of POST /api/show."""

    modelfile: str = ""
    parameters: str
    """The sampling parameters that the package recommends, one on a line."""
    template: str
    """Jinja, not Go."""
    details: OllamaDetails
    model_info: dict[str, Any]
    capabilities: list[Capability]
    modified_at: datetime


def listed(current: CurrentModel) -> list[OllamaModel]:
    """The served model; nothing while it loads."""
    if current.value is None:
        return []
    manifest = current.manifest()
    return [
        OllamaModel(
            name=tagged(current.value.name),
            model=tagged(current.value.name),
            modified_at=_loaded_at(current.value),
            size=sum(entry.size for entry in manifest.files.values()) if manifest else 0,
            digest=manifest.checksum if manifest else "",
            details=_details(manifest),
        )
    ]


def running(current: CurrentModel, ready: Ready | None) -> list[OllamaRunningModel]:
    """The model in memory; nothing while no engine is ready."""
    if ready is None:
        return []
    size = sum(ready.memory.values())
    return [
        OllamaRunningModel(
            name=model.name,
            model=model.model,
            size=size,
            size_vram=size if ready.device == "cuda" else 0,
            digest=model.digest,
            details=model.details,
            expires_at=_NEVER,
            context_length=ready.context_length,
        )
        for model in listed(current)
    ]


def shown(current: CurrentModel, model: ServedModel) -> OllamaModelInfo:
    """Everything about the served model."""
    manifest, template = current.manifest(), current.template()
    details = _details(manifest)
    family = details.family or "unknown"
    thinks = "enable_thinking" in template or any(tag in template for tag in THOUGHTS)
    insert: list[Capability] = ["insert"] if model.infills else []
    thinking: list[Capability] = ["thinking"] if thinks else []
    return OllamaModelInfo(
        parameters=_parameters(model.recommendation),
        template=template + _SUFFIX if model.infills else template,
        details=details,
        model_info={
            "general.architecture": family,
            "general.basename": model.name,
            "general.parameter_count": manifest.parameters if manifest else 0,
            f"{family}.context_length": model.context_length,
        },
        capabilities=["completion", "tools", *insert, *thinking],
        modified_at=_loaded_at(model),
    )


def _loaded_at(model: ServedModel) -> datetime:
    return datetime.fromtimestamp(model.created, UTC)


def _details(manifest: Manifest | None) -> OllamaDetails:
    if manifest is None:
        return OllamaDetails(family="", families=[], parameter_size="", quantization_level="")
    return OllamaDetails(
        family=manifest.family,
        families=[manifest.family],
        parameter_size=_parameter_size(manifest.parameters),
        quantization_level=manifest.recipe,
    )


def _parameter_size(parameters: int) -> str:
    """As Ollama writes it: 1.96B, 134.52M."""
    return f"{parameters / 1e9:.2f}B" if parameters >= 1e9 else f"{parameters / 1e6:.2f}M"


def _parameters(recommendation: Recommendation) -> str:
    values = msgspec.structs.asdict(recommendation)
    return "\n".join(f"{_OLLAMA_NAMES.get(name, name)} {value}" for name, value in values.items() if value is not None)
