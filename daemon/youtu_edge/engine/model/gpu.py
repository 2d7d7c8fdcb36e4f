"""An NVIDIA GPU as the device that computes: ONNX Runtime's CUDA provider runs the graph, our library has the operators.

Nothing is held twice: weights are copied by the operators from the mapped file, piece by piece; caches and rotary tables
are allocated here and bound by their addresses; the integers of a step stay in the host's memory, where operators check
them.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from youtu_edge.cache_geometry import CacheGeometry
from youtu_edge.engine.memory.process_memory import available_memory, holding
from youtu_edge.engine.model.cuda_library import CudaCallError, CudaLibrary, DeviceMemory, PinnedMemory
from youtu_edge.engine.model.device import Array, Provider, cache_shape
from youtu_edge.errors import DeviceError

PROVIDER = "CUDAExecutionProvider"
_ORDINAL = 0


class GpuPool:
    """Caches in the device's memory; all of it is taken at once."""

    arrays: list[npt.NDArray[Any]] = []

    def __init__(self, library: CudaLibrary, kind: str, geometry: CacheGeometry, num_pages: int, page_tokens: int) -> None:
        self._library = library
        self._kind = kind
        self._names = geometry.input_names
        self._shape, self._dtype = cache_shape(geometry, num_pages, page_tokens)
        size = int(np.prod(self._shape)) * self._dtype.itemsize
        self._page_bytes, self._row_bytes = size // num_pages, size // num_pages // page_tokens
        self._caches: list[DeviceMemory] = []
        try:
            for _ in self._names:
                self._caches.append(library.allocate(size))
        except CudaCallError as error:
            raise _too_little(size * len(self._names), "the cache", error) from None

    def bind(self, binding: onnxruntime.IOBinding) -> None:
        """By address."""
        for name, cache in zip(self._names, self._caches, strict=True):
            binding.bind_input(name, self._kind, _ORDINAL, self._dtype, self._shape, cache.address)

    def copy_rows(self, source: int, target: int, rows: int) -> None:
        """Copy the first `rows` rows of one page to another, in every cache."""
        for cache in self._caches:
            first = cache.address
            self._library.copy(first + target * self._page_bytes, first + source * self._page_bytes, rows * self._row_bytes)

    def give_back(self, pages: Iterable[int]) -> int:
        """A block of the device is freed as a whole or not at all."""
        del pages
        return 0

    def read(self, cache: int) -> Array:
        """A copy of one cache, for tests and comparisons."""
        memory = self._caches[cache]
        return np.frombuffer(self._library.read(memory.address, memory.size), self._dtype).reshape(self._shape)


class Gpu:
    """A GPU that was opened. `memory_limit`: bytes that ONNX Runtime may take of it for activations.

    kind: the provider's name for its memory, and `provider`; tests put an emulator and the processor's in their place.
    Raises DeviceError that says what is missing.
    """

    name = "cuda"

    def __init__(
        self,
        operators: Path,
        *,
        kind: str = "cuda",
        provider: str = PROVIDER,
        memory_limit: int = 0,
        available: Callable[[], int] = available_memory,
    ) -> None:
        self.operators = operators
        self.library = CudaLibrary(operators)
        self.kind = kind
        self.provider = provider
        self.arena = f"{'gpu' if kind == 'cuda' else kind}:{_ORDINAL}"
        before = available() + holding().resident
        self.facts = self.library.open(_ORDINAL)
        self.context_bytes = max(0, before - available() - holding().resident) if self.facts.is_shared else 0
        """What the driver took of a memory that the GPU shares; elsewhere it is missing from what is free."""
        self.note = f"{self.facts.name}, compute capability {self.facts.capability}, CUDA {self.facts.driver}"
        self.limit_activations(memory_limit)
        self._pinned: PinnedMemory | None = None
        self._handed: Callable[[], Array | None] = lambda: None

    def limit_activations(self, size: int) -> None:
        """What sessions that are made from now on may take for activations; 0: no limit."""
        options = {"device_id": str(_ORDINAL), "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
        if size:
            options["gpu_mem_limit"] = str(size)
        self.providers: list[Provider] = [(self.provider, options) if self.provider == PROVIDER else self.provider]

    def start(self, threads: int, spin_us: int) -> None:
        """One thread launches; there are no others."""

    def pool(self, geometry: CacheGeometry, num_pages: int, page_tokens: int) -> GpuPool:
        """Takes all of it. Raises DeviceError, also for caches that GPUs do not have."""
        if geometry.dtype != "float16":
            raise DeviceError(
                f"the package has a cache of {geometry.dtype}, and GPUs only have float16: export it with another recipe "
                "than f32, or set engine.device: cpu"
            )
        return GpuPool(self.library, self.kind, geometry, num_pages, page_tokens)

    def bind_constant(self, binding: onnxruntime.IOBinding, name: str, array: Array) -> object:
        """Copied to the device once."""
        try:
            memory = self.library.allocate(max(1, array.nbytes))
        except CudaCallError as error:
            raise _too_little(array.nbytes, name, error) from None
        self.library.write(memory.address, array)
        binding.bind_input(name, self.kind, _ORDINAL, array.dtype, array.shape, memory.address)
        return memory

    def logits(self, rows: int, width: int) -> npt.NDArray[np.float32]:
        """Pinned, so the GPU writes them where they are read. The same memory again when nobody has the last ones."""
        size = 4 * rows * width
        handed = self._handed()
        if self._pinned is None or self._pinned.size < size or handed is not None:
            self._pinned = self.library.pin(size)
        array = np.asarray(self._pinned)
        self._handed = weakref.ref(array)  # every view of it keeps it
        return array[:size].view(np.float32).reshape(rows, width)

    def after_step(self) -> None:
        """The thread that launches may run anywhere."""

    def free_scratch(self) -> None:
        """The next step takes what it needs."""
        self._pinned = None
        self.library.free_scratch()

    def wait(self) -> None:
        """ONNX Runtime waits for the device at the end of each run."""

    def fault(self) -> str:
        """What CUDA says whatever is asked of it; empty: the device works."""
        return self.library.fault()


def _too_little(size: int, purpose: str, error: CudaCallError) -> DeviceError:
    return DeviceError(
        f"the GPU has no {size >> 20} MiB left for {purpose} ({error}): end what else uses it, lower memory.fraction or "
        "memory.limit, or set engine.device: cpu"
    )


def forget_file(path: Path) -> None:
    """Let the system drop what it keeps of a file that is not going to be read again."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
