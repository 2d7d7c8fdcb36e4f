"""Reads initializers back out of a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper


def initializers(package: Path) -> dict[str, onnx.TensorProto]:
    """Initializers of model.onnx by name, without their data."""
    model = onnx.load(str(package / "model.onnx"), load_external_data=False)
    return {tensor.name: tensor for tensor in model.graph.initializer}


def place(tensor: onnx.TensorProto) -> tuple[int, int]:
    """Offset and length in weights.bin."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    assert entries["location"] == "weights.bin"
    return int(entries["offset"]), int(entries["length"])


def read(package: Path, name: str) -> npt.NDArray[Any]:
    """The values of an initializer."""
    tensor = initializers(package)[name]
    offset, length = place(tensor)
    with (package / "weights.bin").open("rb") as file:
        file.seek(offset)
        data = file.read(length)
    return np.frombuffer(data, helper.tensor_dtype_to_np_dtype(tensor.data_type)).reshape(tuple(tensor.dims))


def nibbles(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """4-bit codes [N, K/block, block/2] as one byte each: [N, K]."""
    return np.stack([codes & 15, codes >> 4], axis=-1).reshape(codes.shape[0], -1)
