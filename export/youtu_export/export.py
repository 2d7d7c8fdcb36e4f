"""From an opened checkpoint to a finished package."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from youtu_edge.cache_geometry import CacheGeometry
from youtu_edge.file_digest import file_sha256
from youtu_edge.package import (
    CHAT_TEMPLATE,
    FORMAT_VERSION,
    GENERATION,
    MODEL,
    TOKENIZER,
    WEIGHTS,
    FileEntry,
    Manifest,
    file_entry,
    write_manifest,
)
from youtu_export.checkpoints.checkpoint import Checkpoint, TextAssets
from youtu_export.errors import ExportError
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families import family_of
from youtu_export.graph.families.family import cache_geometry
from youtu_export.graph.graph import Graph
from youtu_export.graph.model_spec import ModelSpec
from youtu_export.package_directory import new_directory, reject_existing
from youtu_export.quantise.recipes import Recipe

Progress = Callable[[int, int], None]
Assess = Callable[[Path, Manifest, Sequence[str]], dict[str, Any]]
"""(package directory, its manifest so far, names of its matrices) -> figures for the manifest. May add files."""


def export(
    checkpoint: Checkpoint,
    out: Path,
    recipe: Recipe,
    *,
    name: str,
    origin: Mapping[str, str] | None = None,
    force: bool = False,
    release: int = 0,
    tool_format: str = "",
    progress: Progress | None = None,
    assess: Assess | None = None,
) -> Manifest:
    """Write the package `out` completely or not at all. `progress(done, total)` counts layers.

    Raises ExportError naming the file and the tensor or key that is wrong, and OSError if `out` cannot be written.
    """
    reject_existing(out, force=force)
    family = family_of(checkpoint)
    spec = family.read_spec(checkpoint)
    spec.reject_contradictions(checkpoint.config.path)
    checkpoint.config.reject_unread()
    _check_prompt_end(checkpoint, spec)
    cache = cache_geometry(spec, recipe.cache_type)
    with new_directory(out, force=force) as directory:
        with (directory / WEIGHTS).open("wb") as weights:
            graph = Graph(weights)
            decoder = Decoder(graph, checkpoint, spec, recipe)
            decoder.inputs(cache)
            logits = family.build(decoder, _counter(spec.layers, progress))
        checkpoint.reject_unused()
        (directory / MODEL).write_bytes(graph.model(_producer(), logits, "logits", ["R", spec.vocab]))
        _write_assets(directory, checkpoint.assets)
        manifest = _manifest(directory, checkpoint, spec, cache, recipe, name)
        manifest.source.update(origin or {})
        manifest = msgspec.structs.replace(
            manifest, release=release, tool_format=tool_format, reproducible=graph.reproducible
        )
        if assess:
            quality = assess(directory, manifest, list(decoder.matrices.inputs))
            manifest = msgspec.structs.replace(manifest, quality=quality, files=_files(directory))
        write_manifest(directory, manifest)
    return manifest


def _check_prompt_end(checkpoint: Checkpoint, spec: ModelSpec) -> None:
    for token_id in spec.prompt_end:
        if not 0 <= token_id < spec.vocab:
            raise ExportError(f"{checkpoint.path}: token id {token_id} is outside the vocabulary of {spec.vocab}")


def _counter(total: int, progress: Progress | None) -> Callable[[], None]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    return count


def _write_assets(directory: Path, assets: TextAssets) -> None:
    (directory / TOKENIZER).write_text(assets.tokenizer, encoding="utf-8")
    (directory / GENERATION).write_bytes(msgspec.json.format(msgspec.json.encode(assets.generation), indent=2))
    if assets.chat_template is not None:
        (directory / CHAT_TEMPLATE).write_text(assets.chat_template, encoding="utf-8", newline="")


def _manifest(
    directory: Path, checkpoint: Checkpoint, spec: ModelSpec, cache: CacheGeometry, recipe: Recipe, name: str
) -> Manifest:
    assets = checkpoint.assets
    return Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        family=spec.family,
        recipe=recipe.name,
        context_length=spec.context_length,
        vocab_size=spec.vocab,
        cache=cache,
        rope=spec.rope,
        long_rope=spec.long_rope,
        local_rope=spec.local_rope,
        window=spec.largest_window,
        eos_token_ids=assets.eos_token_ids,
        bos_token_id=assets.bos_token_id,
        prompt_end=list(spec.prompt_end),
        template_variables=assets.template_variables,
        parameters=sum(math.prod(checkpoint.tensors[name].shape) for name in checkpoint.taken),
        source={"format": checkpoint.format, "name": checkpoint.path.resolve().name, "sha256": _fingerprint(checkpoint)},
        exporter=_producer(),
        files=_files(directory),
    )


def _files(directory: Path) -> dict[str, FileEntry]:
    return {path.name: file_entry(path) for path in sorted(directory.iterdir())}


def _fingerprint(checkpoint: Checkpoint) -> str:
    """sha256 over the names and digests of the files that hold the tensors."""
    digest = hashlib.sha256()
    for path in sorted({tensor.path for tensor in checkpoint.tensors.values()}):
        digest.update(f"{path.name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _producer() -> str:
    try:
        return f"youtu-export {importlib.metadata.version('youtu-edge')}"
    except importlib.metadata.PackageNotFoundError:
        return "youtu-export"
