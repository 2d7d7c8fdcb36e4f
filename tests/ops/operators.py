"""Runs one operator of the library through a real ONNX Runtime session of one node."""

import ctypes
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from youtu_edge.ops import library_path

TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float16): TensorProto.FLOAT16,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.int64): TensorProto.INT64,
}
PAGED_ATTENTION_INPUTS = (
    "query", "key", "value", "key_cache", "value_cache", "cumulative_sequence_length", "past_seqlens", "block_table",
    "cos_cache", "sin_cache", "slot_mapping", "head_sink", "q_norm_weight", "k_norm_weight", "k_scale", "v_scale",
    "attention_metadata",
)  # fmt: skip

CONSTANTS = ("codes", "scales", "zero_points", "minimums", "gain")
"""Inputs that are initializers in a package."""


@cache
def library() -> ctypes.CDLL:
    """The loaded library, for its functions about instruction sets and threads."""
    loaded = ctypes.CDLL(str(library_path()))
    loaded.youtu_edge_ops_isa.restype = ctypes.c_char_p
    loaded.youtu_edge_ops_available_isas.restype = ctypes.c_char_p
    loaded.youtu_edge_ops_select_isa.argtypes = [ctypes.c_char_p]
    loaded.youtu_edge_ops_set_threads.argtypes = [ctypes.c_int, ctypes.c_int]
    return loaded


def instruction_sets() -> list[str]:
    """Names of the compiled instruction sets that this processor has, best first."""
    return library().youtu_edge_ops_available_isas().decode().split(",")


def select_instruction_set(name: str) -> None:
    if library().youtu_edge_ops_select_isa(name.encode()) != 0:
        raise ValueError(f"no instruction set {name}")


class OneNode:
    """A session whose only node is `operator`; `inputs` are its inputs in order, None where one is absent. Those that
    `constants` names are initializers."""

    def __init__(
        self,
        operator: str,
        inputs: Mapping[str, NDArray[Any] | None],
        attributes: Mapping[str, Any],
        threads: int = 2,
        constants: Collection[str] = CONSTANTS,
        outputs: int = 1,
    ) -> None:
        given = {name: array for name, array in inputs.items() if array is not None}
        self.feeds = {name: array for name, array in given.items() if name not in constants}
        library().youtu_edge_ops_set_threads(threads, 200)
        names = [name if array is not None else "" for name, array in inputs.items()]
        while names and not names[-1]:
            names.pop()
        results = [f"output{index}" for index in range(outputs)]
        node = helper.make_node(operator, names, results, "node", domain="youtu_edge", **attributes)
        values = [helper.make_tensor_value_info(n, TYPES[a.dtype], [None] * a.ndim) for n, a in self.feeds.items()]
        outs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in results]
        weights = [numpy_helper.from_array(array, name) for name, array in given.items() if name in constants]
        imports = [helper.make_opsetid("", 21), helper.make_opsetid("youtu_edge", 1)]
        model = helper.make_model(helper.make_graph([node], "one", values, outs, weights), opset_imports=imports)
        model.ir_version = 10
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        options.register_custom_ops_library(str(library_path()))
        self.session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        for name, array in self.feeds.items():  # bound, not fed: in place needs the caller's own memory
            self.binding.bind_cpu_input(name, array)
        for name in results:
            self.binding.bind_output(name, "cpu")

    def __del__(self) -> None:
        library().youtu_edge_ops_wait_for_late_workers()

    def run(self) -> NDArray[np.float32]:
        """The first output."""
        return self.run_all()[0]

    def run_all(self) -> list[NDArray[np.float32]]:
        self.session.run_with_iobinding(self.binding)
        outputs: list[NDArray[np.float32]] = self.binding.copy_outputs_to_cpu()
        return outputs


def run(operator: str, inputs: Mapping[str, NDArray[Any] | None], attributes: Mapping[str, Any]) -> NDArray[np.float32]:
    """Build the session, run it once."""
    return OneNode(operator, inputs, attributes).run()
