"""From a package directory to a runner, with every file's checksum verified.

The weights are by far the largest file, and checking them takes as long as creating the session, so both run concurrently.
The manifest and the graph, which decide how memory is accessed, are checked before; nothing is computed with the weights
until their check has passed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from youtu_edge.board_files import BoardFiles
from youtu_edge.config import Config
from youtu_edge.cores import compute_cores
from youtu_edge.engine.model.device import Device
from youtu_edge.engine.model.gpu import forget_file
from youtu_edge.engine.model.placement import stay_on
from youtu_edge.engine.model.rope_scaling import served_rope
from youtu_edge.engine.model.runner import Runner
from youtu_edge.package import WEIGHTS, Package, check_file, open_package


@dataclass(frozen=True)
class OpenedModel:
    """A checked package and its runner, which has no cache yet."""

    package: Package
    runner: Runner


def open_description(config: Config) -> Package:
    """Open the package at `config.model.path` and check everything except the weights. Raises PackageError."""
    return open_package(config.model.path, unread=(WEIGHTS,))


def open_model(
    config: Config, package: Package, board: BoardFiles | None = None, device: Device | None = None
) -> OpenedModel:
    """Load a package onto the processor or another `device`, and check its weights meanwhile.

    Pins this thread, which must be the one that calls the runner, and threads that it starts later to the compute cores.
    Raises PackageError, ConfigError and DeviceError.
    """
    rope, context = served_rope(package.manifest, config.model)
    chosen = compute_cores(config.engine.threads, board or BoardFiles())
    with ThreadPoolExecutor(1) as other:
        checking = other.submit(check_file, package, WEIGHTS)
        stay_on(chosen.cores)  # only now, so that the weights are checked on all cores
        try:
            runner = Runner(
                package,
                page_tokens=config.model.page_tokens,
                threads=chosen.threads,
                spin_us=config.engine.spin_us,
                context_length=context,
                rope=rope,
                device=device,
            )
        finally:
            checking.result()  # damaged weights take precedence over the error that ONNX Runtime raises for them
    if runner.device.name != "cpu":
        forget_file(package.path(WEIGHTS))
    return OpenedModel(package, runner)
