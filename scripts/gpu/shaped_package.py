"""A package without its weights, which are drawn where they are needed: a model of gigabytes in some megabytes.

    python scripts/gpu/shaped_package.py PACKAGE OUT     what is to be carried; needs the package and the module onnx
    fill(OUT)                                            writes weights.bin there, the same in each run; needs numpy

What it answers is nonsense; it loads, takes memory and time as the model does.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np

TENSORS, WEIGHTS, MODEL = "tensors.json", "weights.bin", "model.onnx"
_FLOAT, _UINT8, _FLOAT16 = 1, 2, 10
_PIECE = 1 << 24


def strip(package: Path, out: Path) -> None:
    """Copy all but the weights to the new directory `out`, with a list of the tensors that they consist of."""
    import onnx

    shutil.copytree(package, out, ignore=shutil.ignore_patterns(WEIGHTS))
    tensors = {}
    for tensor in onnx.load(package / MODEL, load_external_data=False).graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if entries:
            tensors[int(entries["offset"])] = (int(entries["length"]), tensor.data_type)
    size = (package / WEIGHTS).stat().st_size
    listed = [[offset, *tensors[offset]] for offset in sorted(tensors)]
    (out / TENSORS).write_text(json.dumps({"size": size, "tensors": listed}), encoding="utf-8")


def fill(folder: Path) -> None:
    """Write the weights if they are missing: every code, scales around 0.01, gains around 1."""
    if (folder / WEIGHTS).exists() or not (folder / TENSORS).exists():
        return
    listed = json.loads((folder / TENSORS).read_text(encoding="utf-8"))
    random = np.random.default_rng(0)
    with (folder / WEIGHTS).open("wb") as file:
        file.truncate(listed["size"])
        for offset, length, kind in listed["tensors"]:
            file.seek(offset)
            for begin in range(0, length, _PIECE):
                file.write(_draw(random, min(_PIECE, length - begin), kind))


def _draw(random: np.random.Generator, size: int, kind: int) -> bytes:
    if kind == _UINT8:
        return random.bytes(size)
    if kind == _FLOAT16:
        return (0.002 + 0.002 * random.random(size // 2, dtype=np.float32)).astype(np.float16).tobytes()
    if kind == _FLOAT:
        return (0.9 + 0.2 * random.random(size // 4, dtype=np.float32)).tobytes()
    raise ValueError(f"{TENSORS} names a tensor of the element type {kind}")


if __name__ == "__main__":
    strip(Path(sys.argv[1]), Path(sys.argv[2]))
