"""Opens the model on its device, measures its memory, checks one token and allocates the cache."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from youtu_edge.config import Config, SchedulerConfig
from youtu_edge.engine.memory.budget import MemoryPlan, budget_bytes
from youtu_edge.engine.memory.gpu_budget import gpu_budget_bytes
from youtu_edge.engine.memory.requirements import measure, step_limits
from youtu_edge.engine.model.device import Device
from youtu_edge.engine.model.device_choice import choose_device, instead_of_gpu
from youtu_edge.engine.model.gpu import Gpu
from youtu_edge.engine.model.opening import OpenedModel, open_model
from youtu_edge.engine.model.runner import Runner
from youtu_edge.errors import DeviceError, PackageError
from youtu_edge.log import line
from youtu_edge.package import WEIGHTS, Package
from youtu_edge.process_limits import Room, check_room, held

log = logging.getLogger("youtu_edge.engine")

_LEAST_ACTIVATIONS = 64 * 1024 * 1024


@dataclass(frozen=True)
class LoadedModel:
    """A runner with its cache, and the limits and memory plan that it was made with."""

    opened: OpenedModel
    limits: SchedulerConfig
    plan: MemoryPlan

    @property
    def runner(self) -> Runner:
        """The runner of `opened`."""
        return self.opened.runner


def load_model(config: Config, package: Package, vocab_size: int, device: Device | None = None) -> LoadedModel:
    """Load a package onto the device of `engine.device`, or onto `device`.

    vocab_size: ids that both the tokenizer and the embedding table have. Raises PackageError, ConfigError and DeviceError;
    with `auto` the processor is used instead of a GPU that has too little memory.
    """
    device = device or choose_device(config.engine.device)
    try:
        return _load_onto(device, config, package, vocab_size)
    except DeviceError as error:
        if config.engine.device != "auto":
            raise
        reason = error.message
    device.free_scratch()
    return _load_onto(instead_of_gpu(reason), config, package, vocab_size)


def _load_onto(device: Device, config: Config, package: Package, vocab_size: int) -> LoadedModel:
    log.info(line("device", name=device.name, note=device.note))
    if isinstance(device, Gpu):
        total, weights = device.facts.total, package.path(WEIGHTS).stat().st_size
        budget = budget_bytes(config) if device.facts.is_shared else gpu_budget_bytes(config, total)
        device.limit_activations(max(_LEAST_ACTIVATIONS, budget - weights))
    opened = open_model(config, package, device=device)
    limits = step_limits(config, opened)
    plan = measure(opened, limits, vocab_size).split(config)
    _refuse_damaged_scores(opened)
    growth = plan.activations + plan.grammar
    if device.name == "cpu":
        growth += plan.num_pages * plan.page_bytes
    check_room(held() + Room(growth, growth), "the engine with the cache set by memory.limit and model.kv_cache_max_page")
    opened.runner.allocate_cache(plan.num_pages)
    log.info(line("memory", **{f"{name}_mib": size >> 20 for name, size in plan.as_dict().items()}))
    return LoadedModel(opened, limits, plan)


def _refuse_damaged_scores(opened: OpenedModel) -> None:
    """Compute one token: checksums do not reveal weights that were already NaN or infinite when exported."""
    if not np.isfinite(opened.runner.run([0], [1], [0], [[0]], [0])).all():
        raise PackageError(
            f"{opened.package.path(WEIGHTS)}: the model computes logits that are NaN or infinite; export the model again"
        )
