"""The processor as the device that computes: operators on threads, caches in memory of this process."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime

from youtu_edge.cache_geometry import CacheGeometry
from youtu_edge.engine.memory.page_memory import PageMemory
from youtu_edge.engine.model.device import Array, Provider
from youtu_edge.engine.model.placement import Placement
from youtu_edge.ops import free_scratch, library_path, set_threads, wait_for_late_workers


class HostPool(PageMemory):
    """Pages whose memory is taken when they are first written."""

    def __init__(self, geometry: CacheGeometry, num_pages: int, page_tokens: int) -> None:
        super().__init__(geometry, num_pages, page_tokens)
        self._names = geometry.input_names

    def bind(self, binding: onnxruntime.IOBinding) -> None:
        """Without a copy."""
        for name, array in zip(self._names, self.arrays, strict=True):
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))

    def copy_rows(self, source: int, target: int, rows: int) -> None:
        """Copy the first `rows` rows of one page to another, in every cache."""
        for cache in self.arrays:
            cache[target, :rows] = cache[source, :rows]


class Processor:
    """`note`: why no GPU computes, where that was a question. Raises FileNotFoundError where the library was not built."""

    name = "cpu"
    arena = "cpu:0"

    def __init__(self, note: str = "") -> None:
        self.note = note
        self.operators = library_path()
        self.providers: list[Provider] = ["CPUExecutionProvider"]
        self._placement: Placement | None = None

    def start(self, threads: int, spin_us: int) -> None:
        """Compute with so many threads from now on."""
        set_threads(threads, spin_us)
        self._placement = Placement()

    def pool(self, geometry: CacheGeometry, num_pages: int, page_tokens: int) -> HostPool:
        """Reserves address space only."""
        return HostPool(geometry, num_pages, page_tokens)

    def bind_constant(self, binding: onnxruntime.IOBinding, name: str, array: Array) -> object:
        """Without a copy."""
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        binding.bind_ortvalue_input(name, value)
        return array, value

    def logits(self, rows: int, width: int) -> npt.NDArray[np.float32]:
        """Memory as any other."""
        return np.empty((rows, width), dtype=np.float32)

    def after_step(self) -> None:
        """Leave a core that others want."""
        if self._placement is not None:
            self._placement.adjust()

    def free_scratch(self) -> None:
        """The next step takes what it needs."""
        free_scratch()

    def wait(self) -> None:
        """A worker that lost its core in the last call may still be at it."""
        wait_for_late_workers()

    def fault(self) -> str:
        """Processors have none that a process survives."""
        return ""
