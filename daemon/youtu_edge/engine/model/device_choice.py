"""Which device computes: what engine.device asks for, what there is, and why it is not the GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnxruntime

from youtu_edge.config import Device as Wanted
from youtu_edge.engine.model.device import Device
from youtu_edge.engine.model.gpu import PROVIDER, Gpu
from youtu_edge.engine.model.processor import Processor
from youtu_edge.errors import DeviceError
from youtu_edge.ops import CUDA_LIBRARY_NAME, cuda_library_path

_NODES = ("nvidiactl", "nvhost-gpu", "nvgpu")
"""One of them is in /dev wherever the driver of a GPU is: the first on cards, the others on Jetson boards."""


class NoDriverError(DeviceError):
    """No driver of an NVIDIA GPU is loaded, as on most machines."""


def choose_device(wanted: Wanted, open_gpu: Callable[[], Gpu] | None = None) -> Device:
    """The device for `engine.device`. Raises DeviceError for a GPU that has to be and cannot."""
    if wanted == "cpu":
        return Processor()
    try:
        return (open_gpu or open_installed)()
    except DeviceError as error:
        if wanted == "cuda":
            raise DeviceError(f"engine.device: {error.message}") from None
        if isinstance(error, NoDriverError):
            return Processor("no NVIDIA GPU")  # nothing to do about it on a board without one
        return instead_of_gpu(error.message)


def instead_of_gpu(reason: str) -> Processor:
    """The processor, where `auto` found no GPU that can be used."""
    return Processor(f"no GPU: {reason.removeprefix('no NVIDIA GPU was found: ')}")


def open_installed() -> Gpu:
    """The GPU, with the library and the ONNX Runtime that are installed. Raises DeviceError that says what is missing."""
    check_nodes(Path("/dev"))
    return Gpu(usable_library(onnxruntime.get_available_providers(), cuda_library_path()))


def check_nodes(dev: Path) -> None:
    """Raises NoDriverError on a machine where no driver of a GPU runs, or hides it from the service."""
    if not any((dev / name).exists() for name in _NODES):
        raise NoDriverError(
            f"no NVIDIA GPU was found: none of {', '.join(_NODES)} is in {dev}; install the driver, and see docs/cuda.md "
            "for services and containers"
        )


def usable_library(providers: Sequence[str], library: Path | None) -> Path:
    """The library, if ONNX Runtime can call it. Raises DeviceError."""
    if library is None:
        raise DeviceError(f"{CUDA_LIBRARY_NAME} was not built: run scripts/build-ops-cuda on this machine")
    if PROVIDER not in providers:
        raise DeviceError(
            f"the installed ONNX Runtime {onnxruntime.__version__} has no {PROVIDER}: install onnxruntime-gpu in its place "
            "(docs/cuda.md says which)"
        )
    return library
