"""Memory that kernels work on: a GPU's through the CUDA runtime, or this process's own for the emulator.

Both are the same to who uses them: `put` an array, hand `Buffer.address` to a kernel, `get` it back.
"""

from __future__ import annotations

import ctypes
import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

ALIGNMENT = 16  # bytes, of every buffer: what a kernel loads at once
_PAGE = mmap.PAGESIZE
_HOST_TO_DEVICE, _DEVICE_TO_HOST, _DEVICE_TO_DEVICE = 1, 2, 3


class CudaError(Exception):
    """A function of the CUDA runtime or a kernel failed; the message has its name and what CUDA says."""


@dataclass
class Buffer:
    """An array where kernels can reach it."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: Any = field(repr=False)

    @property
    def bytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize


class Memory(Protocol):
    """What a check needs of either."""

    def put(self, array: NDArray[Any]) -> Buffer: ...

    def fill(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        """A buffer of bytes that no result has: 0xCD."""
        ...

    def get(self, buffer: Buffer) -> NDArray[Any]:
        """A copy, after everything that was enqueued."""
        ...


class EmulatorMemory:
    """Each array ends where a page begins that nobody may touch: a kernel that goes beyond it kills the process."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    def fill(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        padded = -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
        pages = -(-padded // _PAGE) * _PAGE
        mapping = mmap.mmap(-1, pages + _PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        if self._libc.mprotect(start + pages, _PAGE, 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
        ctypes.memset(start, 0xCD, pages)
        return Buffer(start + pages - padded, tuple(shape), kind, mapping)

    def put(self, array: NDArray[Any]) -> Buffer:
        array = np.ascontiguousarray(array)
        buffer = self.fill(array.shape, array.dtype)
        ctypes.memmove(buffer.address, array.ctypes.data, array.nbytes)
        return buffer

    def get(self, buffer: Buffer) -> NDArray[Any]:
        array = np.empty(buffer.shape, buffer.dtype)
        ctypes.memmove(array.ctypes.data, buffer.address, array.nbytes)
        return array


class GpuMemory:
    """The CUDA runtime through ctypes; its library is that of the toolkit, or any other libcudart of the same CUDA."""

    def __init__(self, runtime: ctypes.CDLL) -> None:
        self.runtime = runtime
        runtime.cudaGetErrorString.restype = ctypes.c_char_p

    def call(self, name: str, *arguments: Any) -> None:
        """A function of the runtime by name; CudaError when it fails."""
        self.check(getattr(self.runtime, name)(*arguments), name)

    def check(self, code: int, name: str) -> None:
        if code != 0:
            raise CudaError(f"{name}: {self.runtime.cudaGetErrorString(code).decode()} ({code})")

    def fill(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        kind = np.dtype(dtype)
        size = max(int(np.prod(shape)) * kind.itemsize, 1)
        address = ctypes.c_void_p()
        self.call("cudaMalloc", ctypes.byref(address), ctypes.c_size_t(size))
        buffer = Buffer(int(address.value or 0), tuple(shape), kind, _Allocation(self, int(address.value or 0)))
        self.call("cudaMemset", address, 0xCD, ctypes.c_size_t(size))
        return buffer

    def put(self, array: NDArray[Any]) -> Buffer:
        array = np.ascontiguousarray(array)
        buffer = self.fill(array.shape, array.dtype)
        self._copy(buffer.address, array.ctypes.data, array.nbytes, _HOST_TO_DEVICE)
        return buffer

    def get(self, buffer: Buffer) -> NDArray[Any]:
        array = np.empty(buffer.shape, buffer.dtype)
        self.call("cudaDeviceSynchronize")
        self._copy(array.ctypes.data, buffer.address, array.nbytes, _DEVICE_TO_HOST)
        return array

    def enqueue_copy(self, target: int, source: int, size: int) -> None:
        """Inside the device, on the default stream."""
        arguments = ctypes.c_void_p(target), ctypes.c_void_p(source), ctypes.c_size_t(size), _DEVICE_TO_DEVICE
        self.call("cudaMemcpyAsync", *arguments, None)

    def _copy(self, target: int, source: int, size: int, kind: int) -> None:
        if size:
            self.call("cudaMemcpy", ctypes.c_void_p(target), ctypes.c_void_p(source), ctypes.c_size_t(size), kind)


class _Allocation:
    """Frees what it names when nobody holds it any more."""

    def __init__(self, memory: GpuMemory, address: int) -> None:
        self._memory, self._address = memory, address

    def __del__(self) -> None:
        self._memory.runtime.cudaFree(ctypes.c_void_p(self._address))


def find_runtime(path: Path | None = None) -> ctypes.CDLL | None:
    """libcudart of the toolkit or the system, unless its file is given; None without one."""
    if path is not None:
        return ctypes.CDLL(str(path))
    folders = ["", "/usr/local/cuda/lib64/", "/usr/local/cuda/targets/aarch64-linux/lib/"]
    names = [f"{folder}libcudart.so{suffix}" for folder in folders for suffix in (".13", ".12", "")]
    for name in names:
        if not name.startswith("/") or Path(name).exists():
            try:
                return ctypes.CDLL(name)
            except OSError:
                continue
    return None
