"""From a package directory to a runner whose every byte was checked.

The weights are by far the most, and checking them takes as long as making the session, so both are done at once. What
decides how memory is accessed, the manifest and the graph, is checked before; nothing is computed with the weights until
their check has passed.
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
    """Check all of what `config.model` names but for the weights. Raises PackageError."""
    return open_package(config.model.path, unread=(WEIGHTS,))


def open_model(
    config: Config, package: Package, board: BoardFiles | None = None, device: Device | None = None
) -> OpenedModel:
    """Load a package whose weights are not checked yet, and check them, on the processor or another `device`.

    Raises PackageError, ConfigError and DeviceError.

    From then on this thread, which is to call the runner, and those that it starts use the cores that compute.
    """
    rope, context = served_rope(package.manifest, config.model)
    chosen = compute_cores(config.engine.threads, board or BoardFiles())
    with ThreadPoolExecutor(1) as other:
        checking = other.submit(check_file, package, WEIGHTS)
        stay_on(chosen.cores)  # not before: all cores check the weights
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
            checking.result()  # damaged weights are the reason for whatever ONNX Runtime says about them
    if runner.device.name != "cpu":
        forget_file(package.path(WEIGHTS))
    return OpenedModel(package, runner)
