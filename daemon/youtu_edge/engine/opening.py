"""From a package directory to a runner that was seen to work: with packed weights if there are sound ones, else without.

Checking the packed weights takes as long as loading them, so both are done at once; nothing is computed with them before
the check has passed. What decides how memory is accessed, the graph, is checked before it is loaded.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from youtu_edge.config import Config
from youtu_edge.engine.mapped_weights import MappedWeights
from youtu_edge.engine.prepared import Prepared, Record, find_prepared, log, probe, reject
from youtu_edge.engine.rope_scaling import served_rope
from youtu_edge.engine.runner import Runner
from youtu_edge.log import line
from youtu_edge.package import MODEL, WEIGHTS, Package, Rope, open_package


@dataclass(frozen=True)
class OpenedModel:
    """A loaded model; `record` is that of the packed weights when they are used."""

    package: Package
    runner: Runner
    record: Record | None


def open_model(config: Config) -> OpenedModel:
    """Check and load what `config.model` names. Raises PackageError and ConfigError."""
    root = Path(config.model.path).resolve()
    prepared = find_prepared(root) if root.is_dir() else None
    if prepared is not None:
        package = open_package(config.model.path, unread=(WEIGHTS,))
        rope, context = served_rope(package.manifest, config.model)
        if runner := _open_prepared(config, package, prepared):
            log.info(line("prepared_weights", used="yes"))
            _stretch(runner, rope, context)
            return OpenedModel(package, runner, prepared.record)
    package = open_package(config.model.path)
    rope, context = served_rope(package.manifest, config.model)
    runner = _open(config, package, package.path(MODEL), package.path(WEIGHTS))
    _stretch(runner, rope, context)
    return OpenedModel(package, runner, None)


def _open_prepared(config: Config, package: Package, prepared: Prepared) -> Runner | None:
    """With the packed weights, if they are whole and answer as they did when they were made."""
    with ThreadPoolExecutor(1) as other:
        checking = other.submit(prepared.damage)
        runner = _open(config, package, prepared.graph, prepared.weights)
        reason = checking.result()
    if not reason and probe(runner) != prepared.record.probe:
        reason = "they answer differently than when they were made"
    if reason:
        reject(package.root, reason)
        return None
    return runner


def _stretch(runner: Runner, rope: Rope, context: int) -> None:
    if context > runner.context_length:
        runner.set_rope(rope, context)


def _open(config: Config, package: Package, graph: Path, weights: Path) -> Runner:
    """With the model's own rope: a stretched one comes after the packed weights have been seen to answer right."""
    trained = package.manifest.context_length
    runner = Runner(
        package,
        page_tokens=config.model.page_tokens,
        threads=config.engine.threads or len(os.sched_getaffinity(0)),
        spin_us=config.engine.spin_us,
        context_length=min(config.model.context_length or trained, trained),
        graph=graph,
    )
    runner.allocate_cache(1)
    mapped = MappedWeights(graph, weights)
    mapped.give_back_all()
    runner.mapped_weights = mapped
    return runner
