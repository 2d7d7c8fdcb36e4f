"""GPUs and NPUs that are there. The engine computes on the processor, so none of them is needed."""

from __future__ import annotations

from collections.abc import Iterator

from youtu_edge.doctor.finding import Finding, ok
from youtu_edge.doctor.surroundings import Surroundings

_SIGNS = {
    "dev/nvhost-gpu": "the GPU of a Jetson",
    "dev/nvhost-ctrl-gpu": "the GPU of a Jetson",
    "proc/driver/nvidia/version": "an NVIDIA GPU",
    "sys/class/devfreq/*.npu": "an NPU",
    "dev/mali0": "a Mali GPU",
}


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Never a problem."""
    found = dict.fromkeys(name for pattern, name in _SIGNS.items() if surroundings.files.glob(pattern))
    yield ok(
        f"{' and '.join(found)}; not used: the engine computes on the processor" if found else "none, and none is needed"
    )
