"""An ONNX graph under construction whose weights go straight to weights.bin.

Names are paths: node /model/layers.0/attn/qkv/MatMul computes the value of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper
from onnx import TensorProto, helper

from youtu_edge.package import WEIGHTS
from youtu_export.quantise.weights_file import WeightsFile

MICROSOFT = "com.microsoft"
YOUTU_EDGE = "youtu_edge"
_OPSETS = {"": 21, MICROSOFT: 1, YOUTU_EDGE: 1}
_IR_VERSION = 10  # introduced with opset 21
_REPRODUCIBLE = {
    "": {"Add", "Concat", "Gather", "Mul", "Reshape", "Split", "Transpose"},
    YOUTU_EDGE: {"AddRmsNorm", "Embedding", "GeGLU", "Linear", "PagedAttention", "RmsNorm", "SwiGLU"},
}
"""Operators with the same bits on every processor and in every batch: ours by definition, the others because they only move
values or round each of them once."""


class Graph:
    """Collects nodes, inputs and initializers; `weights` is the open weights.bin."""

    def __init__(self, weights: BinaryIO) -> None:
        self._weights = WeightsFile(weights)
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def input(self, name: str, dtype: str, shape: list[int | str]) -> str:
        """Declare a graph input; strings are symbolic sizes."""
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs.append(helper.make_tensor_value_info(name, element, shape))
        return name

    def weight(self, name: str, array: npt.NDArray[Any]) -> str:
        """Write an array to weights.bin and name it."""
        extent = self._weights.append(array)
        tensor = TensorProto(name=name, dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(array.dtype))
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS), ("offset", extent.offset), ("length", extent.length)):
            tensor.external_data.add(key=key, value=str(value))
        self._initializers.append(tensor)
        return name

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """A small array inside model.onnx: shapes and sizes, which ONNX Runtime needs before it runs."""
        self._initializers.append(onnx.numpy_helper.from_array(array, name))
        return name

    def node(
        self, op: str, inputs: list[str], name: str, *, domain: str = "", outputs: Sequence[str] = (), **attributes: Any
    ) -> str:
        """Append a node; an absent optional input or output is "". Returns the first output, by default `name`."""
        names = outputs or (name,)
        self._nodes.append(helper.make_node(op, inputs, names, name=name, domain=domain, **attributes))
        return names[0]

    def reshape(self, name: str, x: str, shape: Sequence[int]) -> str:
        """Reshape x; 0 keeps a dimension."""
        sizes = self.constant(f"{name}/shape", np.array(shape, np.int64))
        return self.node("Reshape", [x, sizes], name)

    def split(self, name: str, x: str, widths: Sequence[int]) -> list[str]:
        """Cut the columns of x [T, sum(widths)] into parts of these widths."""
        sizes = self.constant(f"{name}/widths", np.array(widths, np.int64))
        outputs = [f"{name}/{index}" for index in range(len(widths))]
        self.node("Split", [x, sizes], name, outputs=outputs, axis=1)
        return outputs

    @property
    def reproducible(self) -> bool:
        """Whether all nodes give the same bits on every processor and in every batch."""
        return all(node.op_type in _REPRODUCIBLE.get(node.domain, ()) for node in self._nodes)

    def model(self, producer: str, value: str, output: str, shape: list[int | str]) -> bytes:
        """The finished model, serialised, with `value` renamed to `output` as its one float output."""
        for node in self._nodes:
            if node.output[0] == value:
                node.output[0] = output
        graph = helper.make_graph(
            self._nodes,
            "model",
            self._inputs,
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            self._initializers,
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, producer_name=producer, ir_version=_IR_VERSION)
        data: bytes = model.SerializeToString(deterministic=True)
        return data
