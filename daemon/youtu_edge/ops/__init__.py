"""The C++ operators of the CPU path: where their library is, and nothing else.

Knows no onnxruntime; the engine's runner registers the path that `library_path()` returns.
"""

from pathlib import Path

__all__ = ["library_path"]

LIBRARY_NAME = "libyoutu_edge_ops.so"


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
