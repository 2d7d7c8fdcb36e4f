"""Where a runner computes: the processor, or a GPU. What the runner asks of either: one interface for both.

    Processor   processor.py   the caches are memory of this process
    Gpu         gpu.py         caches, tables and weights are memory of the device, whose addresses are bound

The weights are the operators' own business: those of a processor read the mapped file, those of a GPU copy it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from youtu_edge.cache_geometry import CacheGeometry

Array = npt.NDArray[Any]
Provider = str | tuple[str, dict[str, str]]


class Pool(Protocol):
    """Cache pages of a runner, one array [pages, page_tokens, kv_heads, width] for each cache, zeros at first."""

    arrays: list[npt.NDArray[Any]]
    """Those of the process's own memory; empty where they are elsewhere."""

    def bind(self, binding: onnxruntime.IOBinding) -> None:
        """As graph inputs of their names, which the operators write into."""

    def copy_rows(self, source: int, target: int, rows: int) -> None:
        """Copy the first `rows` rows of one page to another, in every cache."""

    def give_back(self, pages: Iterable[int]) -> int:
        """Return what lies below these pages to the system, where that is possible; bytes."""


class Device(Protocol):
    """One for each runner. `note` is for people: which GPU, or why none."""

    name: str
    note: str
    operators: Path
    """The library of operators."""
    providers: list[Provider]
    """Of ONNX Runtime."""
    arena: str
    """The arena of activations, as ONNX Runtime's run option names it."""

    def start(self, threads: int, spin_us: int) -> None:
        """Called before the session is made."""

    def pool(self, geometry: CacheGeometry, num_pages: int, page_tokens: int) -> Pool:
        """Memory for the cache. Raises DeviceError when a GPU has too little."""

    def bind_constant(self, binding: onnxruntime.IOBinding, name: str, array: Array) -> object:
        """Bind an input that stays the same; what is returned has to live as long as it is bound."""

    def logits(self, rows: int, width: int) -> npt.NDArray[np.float32]:
        """Memory of this process for the logits of a step, float32 [rows, width]; contents do not matter."""

    def after_step(self) -> None:
        """Called by the thread that runs steps, after each."""

    def free_scratch(self) -> None:
        """Give back what operators keep from step to step, while none runs."""

    def wait(self) -> None:
        """Return when nothing reads the weights or the pool any more."""

    def fault(self) -> str:
        """Why this process can compute nothing on the device any more; empty: it can."""


def cache_shape(geometry: CacheGeometry, num_pages: int, page_tokens: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and element type of every cache."""
    return (num_pages, page_tokens, geometry.kv_heads, geometry.width), np.dtype(geometry.dtype)
