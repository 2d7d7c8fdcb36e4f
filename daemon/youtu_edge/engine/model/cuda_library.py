"""The library of CUDA operators from Python: the device, its memory, what went wrong. See ops/cuda/interface.h."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_edge.errors import DeviceError

_INTERFACE = 2
_OUT_OF_MEMORY, _OLD_DRIVER, _NO_GPU, _NO_CODE = 2, 35, 100, 209
_TO_DEVICE, _TO_HOST, _WITHIN_DEVICE = 0, 1, 2
_BUILD = "build it on this machine with scripts/build-ops-cuda"


class _Device(ctypes.Structure):
    """YoutuDevice."""

    _fields_ = [
        ("total", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in ("integrated", "major", "minor", "driver", "runtime")),
        ("name", ctypes.c_char * 64),
    ]


@dataclass(frozen=True)
class GpuFacts:
    """A GPU that was opened."""

    name: str
    capability: str
    """As "8.7"."""
    total: int
    """Bytes of its memory."""
    is_shared: bool
    """Whether that is the memory of the processor, too."""
    driver: str
    """The CUDA that the driver supports."""


class CudaCallError(RuntimeError):
    """CUDA refused a call; the message has its number and words."""

    def __init__(self, what: str, code: int, text: str) -> None:
        super().__init__(f"{what}: CUDA error {code}, {text}")
        self.is_out_of_memory = code == _OUT_OF_MEMORY


class CudaLibrary:
    """A loaded library. Raises DeviceError where it cannot be loaded, or is another version's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._library = ctypes.CDLL(str(path))
            version = int(self._library.youtu_cuda_interface())
        except (OSError, AttributeError) as error:
            raise DeviceError(f"{path} cannot be loaded ({error}): {_BUILD}") from None
        if version != _INTERFACE:
            raise DeviceError(f"{path} is that of another version of youtu-edge: {_BUILD}")
        self._library.youtu_cuda_error_text.restype = ctypes.c_char_p

    def open(self, ordinal: int = 0) -> GpuFacts:
        """Take a GPU for this process, which costs its driver's memory. Raises DeviceError that says what is missing."""
        device = _Device()
        code = int(self._library.youtu_cuda_open(ctypes.c_int32(ordinal), ctypes.byref(device)))
        driver, built = _version(device.driver), _version(device.runtime)
        if code == _NO_GPU or device.driver == 0:
            raise DeviceError(
                "no NVIDIA GPU was found: check nvidia-smi, the driver, and that the service may use the device nodes"
            )
        if code == _OLD_DRIVER:
            raise DeviceError(
                f"the NVIDIA driver supports CUDA {driver}, and {self.path.name} was built with CUDA {built}: "
                f"update the driver, or {_BUILD}"
            )
        if code == _NO_CODE:
            raise DeviceError(
                f"{self.path.name} has no code for this GPU (compute capability {device.major}.{device.minor}): {_BUILD}"
            )
        if code:
            raise DeviceError(f"the GPU cannot be used: CUDA error {code}, {self._text(code)}")
        capability = f"{device.major}.{device.minor}"
        return GpuFacts(device.name.decode(errors="replace"), capability, device.total, bool(device.integrated), driver)

    def memory(self) -> tuple[int, int]:
        """Bytes of the device that are free, and those that this library holds."""
        free, held = ctypes.c_int64(), ctypes.c_int64()
        self._check("asking for the GPU's memory", self._library.youtu_cuda_memory(ctypes.byref(free), ctypes.byref(held)))
        return free.value, held.value

    def allocate(self, size: int) -> DeviceMemory:
        """Zeros. Raises CudaCallError."""
        address = ctypes.c_void_p()
        self._check("allocating", self._library.youtu_cuda_allocate(ctypes.c_int64(size), ctypes.byref(address)))
        return DeviceMemory(self, address.value or 0, size)

    def free(self, address: int) -> None:
        """What `allocate` gave; the device may be lost already."""
        self._library.youtu_cuda_free(ctypes.c_void_p(address))

    def pin(self, size: int) -> PinnedMemory:
        """Contents do not matter. Raises CudaCallError."""
        address = ctypes.c_void_p()
        self._check("pinning memory", self._library.youtu_cuda_pin(ctypes.c_int64(size), ctypes.byref(address)))
        return PinnedMemory(self, address.value or 0, size)

    def unpin(self, address: int) -> None:
        """What `pin` gave."""
        self._library.youtu_cuda_unpin(ctypes.c_void_p(address))

    def write(self, address: int, array: npt.NDArray[Any]) -> None:
        """Copy an array to the device."""
        self._copy(address, np.ascontiguousarray(array).ctypes.data, array.nbytes, _TO_DEVICE)

    def read(self, address: int, size: int) -> bytes:
        """Copy bytes from the device."""
        data = ctypes.create_string_buffer(size)
        self._copy(ctypes.addressof(data), address, size, _TO_HOST)
        return data.raw

    def copy(self, target: int, source: int, size: int) -> None:
        """Within the device."""
        self._copy(target, source, size, _WITHIN_DEVICE)

    def free_scratch(self) -> None:
        """Give back what operators keep from step to step."""
        self._library.youtu_cuda_free_scratch()

    def fault(self) -> str:
        """What CUDA says whatever is asked of it; empty: the device works. Waits for it."""
        code = int(self._library.youtu_cuda_synchronise())
        return f"CUDA error {code}, {self._text(code)}" if code else ""

    def _copy(self, target: int, source: int, size: int, direction: int) -> None:
        pointers = ctypes.c_void_p(target), ctypes.c_void_p(source)
        self._check("copying", self._library.youtu_cuda_copy(*pointers, ctypes.c_int64(size), ctypes.c_int32(direction)))

    def _check(self, what: str, code: int) -> None:
        if code:
            raise CudaCallError(what, code, self._text(code))

    def _text(self, code: int) -> str:
        return (self._library.youtu_cuda_error_text(ctypes.c_int32(code)) or b"").decode(errors="replace")


class DeviceMemory:
    """A block of the device's memory, freed with this object."""

    def __init__(self, library: CudaLibrary, address: int, size: int) -> None:
        self._library = library
        self.address = address
        self.size = size

    def __del__(self) -> None:
        self._library.free(self.address)


class PinnedMemory:
    """Memory of the host that the device reads and writes by itself. Freed with this object and the arrays on it."""

    def __init__(self, library: CudaLibrary, address: int, size: int) -> None:
        self._library = library
        self._address = address
        self.size = size

    def __del__(self) -> None:
        self._library.unpin(self._address)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"data": (self._address, False), "shape": (self.size,), "typestr": "|u1", "version": 3}


def _version(number: int) -> str:
    """13000 as 13.0."""
    return f"{number // 1000}.{number % 1000 // 10}"
