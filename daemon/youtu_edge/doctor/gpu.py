"""GPUs and NPUs of this machine, and whether the engine computes on one; otherwise it computes on the processor."""

from __future__ import annotations

from collections.abc import Iterator

from youtu_edge.doctor.finding import Finding, fail, ok
from youtu_edge.doctor.surroundings import Surroundings
from youtu_edge.ops import CUDA_LIBRARY_NAME, cuda_library_path

_JETSON, _NVIDIA = "the GPU of a Jetson", "an NVIDIA GPU"
_SIGNS = {
    "dev/nvhost-gpu": _JETSON,
    "dev/nvhost-ctrl-gpu": _JETSON,
    "dev/nvgpu": _JETSON,
    "proc/driver/nvidia/version": _NVIDIA,
    "sys/class/devfreq/*.npu": "an NPU",
    "dev/mali0": "a Mali GPU",
}


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Fails only if `engine.device: cuda` requires a GPU that cannot be used."""
    found = dict.fromkeys(name for pattern, name in _SIGNS.items() if surroundings.files.glob(pattern))
    wanted, why_not = surroundings.config.engine.device, _why_not(surroundings, {*found})
    names = " and ".join(found)
    if wanted == "cuda" and why_not:
        yield fail(f"engine.device is cuda, but {why_not}")
    elif not found:
        yield ok("none, and none is needed")
    elif why_not:
        yield ok(f"{names}; not used: {why_not}")
    else:
        yield ok(f"{names}; used if ONNX Runtime has its CUDA provider: see `device` in /v1/status{_clock(surroundings)}")


def _why_not(surroundings: Surroundings, found: set[str]) -> str:
    if not found & {_JETSON, _NVIDIA}:
        is_required = surroundings.config.engine.device == "cuda"
        return "there is no NVIDIA GPU" if is_required else "the engine computes on the processor"
    if surroundings.config.engine.device == "cpu":
        return "engine.device is cpu"
    if cuda_library_path() is None:
        return f"{CUDA_LIBRARY_NAME} was not built; scripts/build-ops-cuda builds it"
    return ""


def _clock(surroundings: Surroundings) -> str:
    """The clock range of a Jetson's GPU, with advice if it may drop."""
    for folder in surroundings.files.glob("sys/class/devfreq/*gpu"):
        now, highest = (surroundings.files.number(f"{folder}/{name}") for name in ("min_freq", "max_freq"))
        if now is not None and highest is not None and now < highest:
            return f"; its clock may drop to {now // 10**6} of {highest // 10**6} MHz; `sudo jetson_clocks` pins it"
    return ""
