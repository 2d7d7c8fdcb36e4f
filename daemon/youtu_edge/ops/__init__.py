"""The libraries of operators: where they are, and how many threads those for the processor use.

The engine's runner registers the path that `library_path()` returns.
"""

import ctypes
from pathlib import Path

__all__ = ["cuda_library_path", "free_scratch", "library_path", "set_threads", "wait_for_late_workers"]

LIBRARY_NAME = "libyoutu_edge_ops.so"
CUDA_LIBRARY_NAME = "libyoutu_edge_ops_cuda.so"


def library_path() -> Path:
    """Return the absolute path of the operator library, which lies beside this file.

    Raises FileNotFoundError, with the way to build it, when it was never built.
    """
    path = Path(__file__).resolve().parent / LIBRARY_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist. Build it from the repository root with: "
            "cmake -S . -B build/ops && cmake --build build/ops -j2 && cmake --install build/ops --prefix daemon"
        )
    return path


def cuda_library_path() -> Path | None:
    """The library of operators for GPUs, which scripts/build-ops-cuda puts beside this file; None if it was not built."""
    path = Path(__file__).resolve().parent / CUDA_LIBRARY_NAME
    return path if path.is_file() else None


def set_threads(threads: int, spin_us: int) -> None:
    """Compute with so many threads of this process from the next call on, the calling one included.

    spin_us: how long the others spin for work before they sleep. Without this call they are as many as the process may use.
    """
    set_in_library = ctypes.CDLL(str(library_path())).youtu_edge_ops_set_threads
    set_in_library.argtypes = [ctypes.c_int, ctypes.c_int]
    set_in_library(threads, spin_us)


def free_scratch() -> None:
    """Free the operators' idle scratch memory. The next call allocates what it needs."""
    ctypes.CDLL(str(library_path())).youtu_edge_ops_free_scratch()


def wait_for_late_workers() -> None:
    """Return when no worker reads weights any more. Call it before a session is dropped: a worker that lost its core in the
    last call may still be at it.
    """
    ctypes.CDLL(str(library_path())).youtu_edge_ops_wait_for_late_workers()
