"""The model package: every byte except the weights, of which only the size is checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from youtu_edge.doctor.finding import Finding, fail, ok, warn
from youtu_edge.doctor.surroundings import Surroundings, size
from youtu_edge.errors import PackageError
from youtu_edge.golden import GOLDEN, read_golden
from youtu_edge.package import WEIGHTS, open_package


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Takes as long as reading the tokenizer and the graph."""
    path = surroundings.config.model.path
    try:
        package = open_package(path, unread=(WEIGHTS,))
        if GOLDEN in package.manifest.files:
            read_golden(package.path(GOLDEN))
    except PackageError as error:
        yield fail(error.message)
        return
    manifest = package.manifest
    whole = size(sum(entry.size for entry in manifest.files.values()))
    context = surroundings.config.model.context_length or manifest.context_length
    yield ok(
        f"{Path(path)}: {manifest.name}, {manifest.recipe}, {whole}, context {context}; only the size of {WEIGHTS} was "
        f"checked; `youtu-edge model verify {path}` checks every byte"
    )
    if not package.has_chat_template:
        yield warn(
            f"{path} has no chat template: only plain completion works; export the model again from its instruct version"
        )
