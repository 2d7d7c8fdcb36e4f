"""Which files of a model to fetch: those that the exporter reads, and of the weights only safetensors, once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from youtu_edge.package import TOKENIZER
from youtu_export.checkpoints.hf_reader import CONFIG, INDEX, SINGLE, shard_names
from youtu_export.checkpoints.hf_text import NAMED_TEMPLATES, TEXT_FILES
from youtu_export.errors import ExportError
from youtu_export.hubs.hub import HubFile, Listing

_NAMED_TEMPLATE = re.compile(rf"{NAMED_TEMPLATES}/[^/]+\.jinja")
_PART_OF_GGUF = re.compile(r"-\d+-of-\d+\.gguf")


def index_file(listing: Listing) -> HubFile | None:
    """The file that lists the shards, if the weights are sharded; a single weights file beside them is then a copy."""
    return listing.file(INDEX)


def checkpoint_files(listing: Listing, directory: Path) -> list[HubFile]:
    """All files of a checkpoint in Hugging Face's format; the index, if there is one, is already in `directory`.

    Raises ExportError naming a file that is missing in the repository.
    """
    required = {CONFIG, TOKENIZER}
    if index_file(listing) is None:
        required.add(SINGLE)
    else:
        required |= {INDEX, *shard_names(directory / INDEX)}
    _reject_missing(listing, sorted(required))
    return [
        file
        for file in listing.files
        if file.path in required or file.path in TEXT_FILES or _NAMED_TEMPLATE.fullmatch(file.path)
    ]


def gguf_file(listing: Listing, path: str) -> HubFile:
    """One GGUF file. Raises ExportError, which lists the existing ones, if there is no such file."""
    found = listing.file(path)
    if found is None or ".." in Path(path).parts:
        there = _some(file.path for file in listing.files if file.path.endswith(".gguf"))
        raise ExportError(f"{listing.model}: {path}: no such file at {listing.commit}; its GGUF files: {there}")
    if _PART_OF_GGUF.search(path):
        raise ExportError(f"{listing.model}: {path}: one part of a split file; fetch all parts and join them first")
    return found


def _reject_missing(listing: Listing, required: Iterable[str]) -> None:
    for path in required:
        if listing.file(path) is not None:
            continue
        reason = f"{listing.model}: {path}: no such file at {listing.commit}"
        ggufs = [file.path for file in listing.files if file.path.endswith(".gguf")]
        pickled = [file.path for file in listing.files if file.path.endswith((".bin", ".pth", ".pt"))]
        if ggufs:
            reason += f"; for its GGUF files: youtu-export gguf {listing.model}:FILE OUT with FILE {_some(ggufs)}"
        elif path == SINGLE and pickled:
            reason += f"; only safetensors are read, but the weights are in {_some(pickled)}: look for a converted model"
        raise ExportError(reason)


def _some(paths: Iterable[str]) -> str:
    found = sorted(paths)
    return ", ".join(found[:8]) + (" …" if len(found) > 8 else "") if found else "none"
