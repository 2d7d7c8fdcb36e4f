"""The engine's GPU with the emulator in its place: ONNX Runtime runs the graph on the processor and calls the glue, which
works on memory that counts what is asked of it. One emulated GPU for each process."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

from youtu_edge.engine.model.gpu import Gpu

GIB = 1024**3


@dataclass
class EmulatedGpu:
    """The emulated GPU's state: allocations, copies, and the faults to simulate."""

    path: Path

    def __post_init__(self) -> None:
        self.library = ctypes.CDLL(str(self.path))
        self.library.youtu_emulator_most_held.restype = ctypes.c_longlong
        self.library.youtu_emulator_copied.restype = ctypes.c_longlong
        self.set()

    def set(self, total: int = 4 * GIB, *, others: int = 0, is_shared: bool = False, open_error: int = 0) -> None:
        """Its memory, what other processes hold of it, whether it is the processor's, what opening it fails with."""
        self.library.youtu_emulator_set_others(ctypes.c_longlong(others))
        self.library.youtu_emulator_set_device(ctypes.c_longlong(total), int(is_shared), open_error)

    def fail(self, code: int) -> None:
        """Make every call fail with this error from now on; 0: none."""
        self.library.youtu_emulator_set_fault(code)

    def open(self) -> Gpu:
        """As the engine opens one."""
        return Gpu(self.path, kind="cpu", provider="CPUExecutionProvider")

    @property
    def blocks(self) -> int:
        """Allocations that have not been freed."""
        return int(self.library.youtu_emulator_blocks())

    @property
    def pinned(self) -> int:
        """Blocks of pinned memory that have not been freed."""
        return int(self.library.youtu_emulator_pinned())

    @property
    def copied(self) -> tuple[int, int, int]:
        """Bytes copied to the device, to the host, within the device."""
        to_device, to_host, within = (int(self.library.youtu_emulator_copied(direction)) for direction in range(3))
        return to_device, to_host, within

    def most_held(self) -> int:
        """Peak allocation in bytes since the last call."""
        return int(self.library.youtu_emulator_most_held())

    def free_scratch(self) -> None:
        """Fails if pinned memory was changed while the device had still to read it."""
        assert self.library.youtu_cuda_free_scratch() == 0
