"""Reads nodes and initializers back out of a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from ops.reference import embedding


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


def nodes(package: Path) -> dict[str, onnx.NodeProto]:
    """Nodes of model.onnx by name."""
    model = onnx.load(str(package / "model.onnx"), load_external_data=False)
    return {node.name: node for node in model.graph.node}


def matrix(package: Path, name: str) -> npt.NDArray[np.float32]:
    """The values that a Linear without heads, or an Embedding, computes with: float32 [N, K]."""
    node = nodes(package)[name]
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    weights = [read(package, weight) if weight else None for weight in node.input[1:]]
    return embedding(np.arange(attributes["N"]), *weights, bits=attributes["bits"])
