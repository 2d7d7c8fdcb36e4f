"""`python -m youtu_edge.doctor.probe`: loads every library of the daemon, in a process that one may crash.

Prints a line of JSON before and after each. The last line names the library that crashed it.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys

OPERATORS = "operators"
LIBRARIES = (
    "aiohttp",
    "cryptography",
    "jinja2",
    "llguidance",
    "msgspec",
    "numpy",
    "onnxruntime",
    "prometheus_client",
    "sdnotify",
    "tokenizers",
    "yaml",
)


def _version(name: str) -> str:
    return str(getattr(importlib.import_module(name), "__version__", ""))


def _operators() -> str:
    """The instruction set in use, and those available; ONNX Runtime must accept the library as well."""
    from youtu_edge.ops import library_path

    path = str(library_path())
    library = ctypes.CDLL(path)
    importlib.import_module("onnxruntime").SessionOptions().register_custom_ops_library(path)
    names = []
    for function in ("youtu_edge_ops_isa", "youtu_edge_ops_available_isas"):
        call = getattr(library, function)
        call.restype = ctypes.c_char_p
        names.append(call().decode())
    return ";".join(names)


def main() -> None:
    """Print what was found."""
    for name in (*LIBRARIES, OPERATORS):
        _print(name, "begun")
        try:
            found = _operators() if name == OPERATORS else _version(name)
        except Exception as error:
            _print(name, "failed", f"{type(error).__name__}: {error}")
        else:
            _print(name, "loaded", found)


def _print(name: str, state: str, text: str = "") -> None:
    sys.stdout.write(json.dumps([name, state, text]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
