#!/usr/bin/env python3
"""Converts our Linear to ONNX Runtime's MatMulNBits, with the same codes, scales and zero points, for comparison.

    matmul_nbits.py PACKAGE OUT     writes a converted package (run it with .venv/bin/python)

MatMulNBits is ONNX Runtime's own operator. It computes with float32 scales, and uses different kernels for one row and for
many, so its answers depend on the batch.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / part) for part in ("daemon", "tests")]

from ops.reference import untile_blocks, untile_codes
from youtu_edge.package import MODEL, WEIGHTS, Package, file_entry, open_package, write_manifest

Array = npt.NDArray[Any]
_INT8_ACTIVATIONS = 4  # accuracy_level: integers inside a block, like ours


def matmul_nbits(
    name: str, x: str, y: str, weights: dict[str, Array], sizes: dict[str, int]
) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """The node `name` from x to y and its initializers. weights: tiled codes, scales and zero_points; sizes: N, bits,
    block_size. Raises ValueError for minimums and heads, which MatMulNBits does not support."""
    if "minimums" in weights or sizes.get("heads", 1) != 1:
        raise ValueError(f"{name}: MatMulNBits has neither minimums nor heads")
    rows, bits, block = sizes["N"], sizes["bits"], sizes["block_size"]
    codes = untile_codes(weights["codes"], bits)[:rows].reshape(rows, -1, block)
    parts = {
        "B": _paired(codes) if bits == 4 else codes,
        "scales": untile_blocks(weights["scales"])[:rows].astype(np.float32),
    }
    if "zero_points" in weights:
        zeros = untile_blocks(weights["zero_points"])[:rows]
        parts["zero_points"] = _paired(np.pad(zeros, ((0, 0), (0, zeros.shape[1] % 2)))) if bits == 4 else zeros
    names = [f"{name}/nbits/{part}" for part in parts]
    node = onnx.helper.make_node(
        "MatMulNBits", [x, *names], [y], name, domain="com.microsoft",
        K=codes[0].size, N=rows, bits=bits, block_size=block, accuracy_level=_INT8_ACTIVATIONS,
    )  # fmt: skip
    return node, [
        onnx.numpy_helper.from_array(np.ascontiguousarray(part), n) for n, part in zip(names, parts.values(), strict=True)
    ]


def converted(package: Package, out: Path) -> Package:
    """A copy of the package in the new directory `out` with MatMulNBits for its matrices; per-head ones are unchanged."""
    out.mkdir()
    for name in package.manifest.files.keys() - {MODEL, WEIGHTS}:
        shutil.copyfile(package.path(name), out / name)
    model = onnx.load(package.path(MODEL))
    arrays = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        sizes = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type != "Linear" or sizes.get("heads", 1) != 1:
            continue
        roles = ("codes", "scales", "zero_points", "minimums")
        names = {role: name for role, name in zip(roles, node.input[1:], strict=False) if name}
        weights = {role: onnx.numpy_helper.to_array(arrays[name]) for role, name in names.items()}
        other, tensors = matmul_nbits(node.name, node.input[0], node.output[0], weights, sizes)
        node.CopyFrom(other)
        model.graph.initializer.extend(tensors)
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save_model(model, str(out / MODEL), save_as_external_data=True, location=WEIGHTS, size_threshold=1024)
    files = {name: file_entry(out / name) for name in package.manifest.files}
    write_manifest(out, msgspec.structs.replace(package.manifest, files=files, reproducible=False))
    return open_package(out)


def _paired(codes: Array) -> Array:
    paired: Array = codes[..., 0::2] | codes[..., 1::2] << np.uint8(4)
    return paired


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: matmul_nbits.py PACKAGE OUT")
    converted(open_package(sys.argv[1]), Path(sys.argv[2]))
