"""Checkpoints that are already quantised to four bits: AutoAWQ, GPTQ and compressed-tensors (llm-compressor).

All of them define W[n, k] = scales[n, k // group] * (codes[n, k] - zeros[n, k // group]) with codes and zeros in 0..15, as
the operators compute it, so their integers are never rounded again; scales become float16. They differ in how eight codes
are packed in an int32, the first in the lowest bits:

    awq                qweight [K, N/8], qzeros [K/group, N/8]; along N in the order 0 2 4 6 1 3 5 7; scales [K/group, N]
    gptq               qweight [K/8, N], qzeros [K/group, N/8] (see gptq_zero_points), scales [K/group, N], g_idx [K]
    compressed-tensors weight_packed [N, K/8], weight_zero_point [N/8, K/group] or absent, weight_scale [N, K/group]

Sources: AutoAWQ `awq/utils/packing_utils.py`, AutoGPTQ `qlinear_cuda_old.py`, compressed-tensors `pack_quantized/base.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_export.checkpoints.gptq_zero_points import added_by, decide, doubt
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.checkpoints.packed_matrix import PackedMatrix, PackedSource
from youtu_export.checkpoints.quantization_settings import read_settings
from youtu_export.checkpoints.scales import finite, kept_scales
from youtu_export.checkpoints.stored_tensor import Bytes, Float32, StoredTensor, naming
from youtu_export.errors import ExportError
from youtu_export.findings import Findings

KIND = "INT4"
_GROUPS = (16, 32, 64, 128, 256)
_SYMMETRIC_ZERO = 8
_PROBED_MATRICES = 4
_ZERO_POINTS = ("qzeros", "weight_zero_point")
_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Nibble that holds value j: the inverse of AutoAWQ's order 0 2 4 6 1 3 5 7."""


@dataclass(frozen=True)
class _Form:
    """Names of the parts of one matrix and how to read them; `read` gives codes [N, K], zeros [N, K/group] and scales."""

    codes: str
    scales: str
    parts: tuple[str, ...]
    """The other parts."""
    read: Callable[[dict[str, StoredTensor], int], tuple[Bytes, Bytes, Float32]]
    shape: Callable[[StoredTensor], tuple[int, int]]


@dataclass(frozen=True, eq=False, kw_only=True)
class PackedTensor(PackedSource):
    """A matrix [N, K] whose integer codes and scales are separate tensors of the checkpoint."""

    parts: dict[str, StoredTensor]
    form: _Form
    group: int

    def packed(self) -> PackedMatrix:
        """The same integers, and the nearest float16 of each scale."""
        codes, zeros, scales = self._integers()
        with naming(self.parts[self.form.scales]):
            half = kept_scales(scales)
        return PackedMatrix(4, self.group, codes, half, None if (zeros == _SYMMETRIC_ZERO).all() else zeros)

    def _rows(self, begin: int, end: int) -> Float32:
        """(code - zero) * scale in float32, [end - begin, K]."""
        codes, zeros, scales = (part[begin:end] for part in self._integers())
        blocks = codes.reshape(end - begin, -1, self.group).astype(np.float32) - zeros[..., None].astype(np.float32)
        return (blocks * scales[..., None]).reshape(end - begin, -1)

    def _integers(self) -> tuple[Bytes, Bytes, Float32]:
        rows, columns = self.form.shape(self.parts[self.form.codes])
        wanted = ((rows, columns), (rows, columns // self.group), (rows, columns // self.group))
        codes, zeros, scales = self.form.read(self.parts, self.group)
        found = (codes.shape, zeros.shape, scales.shape)
        if found != wanted:
            raise _error(self, f"codes, zero points and scales of shapes {found} instead of {wanted}")
        if self.row_order is None:
            return codes, zeros, scales
        return codes[self.row_order], zeros[self.row_order], scales[self.row_order]


def unpack_tensors(config: ModelConfig, tensors: dict[str, StoredTensor], findings: Findings) -> dict[str, StoredTensor]:
    """`tensors` with every quantised matrix under the name `….weight` instead of its parts.

    Raises ExportError for a quantisation that is unknown or not supported by the operators.
    """
    settings = read_settings(config)
    if settings is None:
        return _reject_integers(tensors)
    method = settings.get("quant_method")
    if method not in _READERS:
        raise ExportError(f"{config.path}: quant_method {method!r} is not supported; supported: {', '.join(_READERS)}")
    form, group = _READERS[method](config, settings)
    if group not in _GROUPS:
        raise ExportError(f"{config.path}: group_size {group!r} is not supported; supported: {_GROUPS}")
    found = dict(tensors)
    for name, codes in tensors.items():
        if not name.endswith(f".{form.codes}"):
            continue
        prefix = name.removesuffix(form.codes)
        parts = {
            part: found.pop(prefix + part) for part in (form.codes, form.scales, *form.parts) if prefix + part in found
        }
        for part in parts.values():
            if len(part.shape) != 2 and part.name.removeprefix(prefix) in (form.codes, form.scales, *_ZERO_POINTS):
                raise _error(part, f"shape {list(part.shape)} is not a matrix")
        if f"{prefix}weight" in tensors:
            raise _error(codes, f"{prefix}weight exists as well; a matrix is either quantised or not")
        shape = form.shape(codes)
        if shape[1] % group:
            raise ExportError(f"{codes.path}: {name}: {shape[1]} columns do not divide into groups of {group}")
        found[f"{prefix}weight"] = PackedTensor(
            codes.path, f"{prefix}weight", shape, KIND, 0, parts=parts, form=form, group=group
        )
    if method == "gptq":
        found |= _with_zero_points(config, settings, found, findings)
    return _reject_integers(found)


def _with_zero_points(
    config: ModelConfig, settings: dict[str, Any], tensors: dict[str, StoredTensor], findings: Findings
) -> dict[str, StoredTensor]:
    """The matrices of a GPTQ checkpoint, with the form that its data indicate."""
    layout = _layout(settings)
    matrices = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, PackedTensor)}
    stored = {name: np.unique(_nibbles(_integers(tensor.parts, "qzeros"))).tolist() for name, tensor in matrices.items()}
    try:
        found = decide(stored, layout=layout, is_symmetric=settings.get("sym"))
    except ValueError as error:
        raise ExportError(f"{config.path}: quantization_config: {error}") from None
    doubts = [found.warning]
    if any(len(values) > 1 for values in stored.values()):  # one tool packed them all, so the first few suffice
        for tensor in list(matrices.values())[:_PROBED_MATRICES]:
            zeros = _nibbles(_integers(tensor.parts, "qzeros"))
            doubts.append(doubt(_nibbles(_integers(tensor.parts, "qweight")), zeros, layout))
    findings.warnings += [f"{config.path}: quantization_config: {text}" for text in doubts if text][:1]
    return {name: replace(tensor, form=_GPTQ_BY_ADDED[found.added[name]]) for name, tensor in matrices.items()}


def _reject_integers(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    for tensor in tensors.values():
        if tensor.kind in ("I32", "I64"):
            raise _error(tensor, "integers, but config.json has no quantization_config for them")
    return tensors


def _awq(config: ModelConfig, settings: dict[str, Any]) -> tuple[_Form, Any]:
    _only(config, "bits", settings.get("bits", settings.get("w_bit")), 4)
    _only(config, "zero_point", settings.get("zero_point", True), True)
    _only(config, "version", str(settings.get("version", "gemm")).lower(), "gemm")
    return _AWQ, settings.get("group_size", settings.get("q_group_size"))


def _gptq(config: ModelConfig, settings: dict[str, Any]) -> tuple[_Form, Any]:
    _only(config, "bits", settings.get("bits"), 4)
    _only(config, "desc_act (reordered columns)", settings.get("desc_act", False), False)
    layout = _layout(settings)
    if layout not in ("gptq", "gptq_v2"):
        raise ExportError(f"{config.path}: quantization_config: checkpoint_format {layout!r} is not supported")
    return _GPTQ_BY_ADDED[added_by(layout)], settings.get("group_size")


def _layout(settings: dict[str, Any]) -> str:
    return settings.get("checkpoint_format") or "gptq"


def _compressed(config: ModelConfig, settings: dict[str, Any]) -> tuple[_Form, Any]:
    _only(config, "format", settings.get("format"), "pack-quantized")
    groups = list(settings.get("config_groups", {}).values())
    _only(config, "number of config_groups", len(groups), 1)
    weights = groups[0].get("weights") or {}
    for what in ("input_activations", "output_activations"):
        _only(config, what, groups[0].get(what), None)
    for key, value in (("num_bits", 4), ("type", "int"), ("strategy", "group")):
        _only(config, key, weights.get(key), value)
    _only(config, "actorder (reordered columns)", weights.get("actorder"), None)
    is_symmetric = weights.get("symmetric") in (None, True)
    return (_COMPRESSED if is_symmetric else _COMPRESSED_WITH_ZEROS), weights.get("group_size")


_READERS: dict[Any, Callable[[ModelConfig, dict[str, Any]], tuple[_Form, Any]]] = {
    "awq": _awq,
    "gptq": _gptq,
    "compressed-tensors": _compressed,
}


def _only(config: ModelConfig, key: str, value: Any, supported: Any) -> None:
    if value != supported:
        raise ExportError(f"{config.path}: quantization_config: {key}: {value!r} is not supported, only {supported!r}")


def _read_awq(parts: dict[str, StoredTensor], _group: int) -> tuple[Bytes, Bytes, Float32]:
    codes = _nibbles(_integers(parts, "qweight"), _AWQ_ORDER).T
    zeros = _nibbles(_integers(parts, "qzeros"), _AWQ_ORDER).T
    return np.ascontiguousarray(codes), np.ascontiguousarray(zeros), _scales(parts, "scales", transposed=True)


def _read_gptq(parts: dict[str, StoredTensor], group: int, stored_less: int = 1) -> tuple[Bytes, Bytes, Float32]:
    weights = _integers(parts, "qweight")
    columns = weights.shape[0] * 8
    if "g_idx" in parts:
        order = _integers(parts, "g_idx").reshape(-1)
        if not np.array_equal(order, np.arange(columns) // group):
            raise _error(parts["g_idx"], "columns in another order (desc_act) are not supported")
    codes = _nibbles(np.ascontiguousarray(weights.T))
    zeros = _nibbles(_integers(parts, "qzeros")).T + np.uint8(stored_less)
    if zeros.max() > 15:
        raise _error(parts["qzeros"], "a zero point of 16 does not fit in four bits")
    return codes, np.ascontiguousarray(zeros), _scales(parts, "scales", transposed=True)


def _read_gptq_v2(parts: dict[str, StoredTensor], group: int) -> tuple[Bytes, Bytes, Float32]:
    return _read_gptq(parts, group, stored_less=0)


def _read_compressed_with_zeros(parts: dict[str, StoredTensor], group: int) -> tuple[Bytes, Bytes, Float32]:
    return _read_compressed(parts, group, is_symmetric=False)


def _read_compressed(
    parts: dict[str, StoredTensor], _group: int, *, is_symmetric: bool = True
) -> tuple[Bytes, Bytes, Float32]:
    codes = _nibbles(_integers(parts, "weight_packed"))
    scales = _scales(parts, "weight_scale", transposed=False)
    zeros = np.full(scales.shape, _SYMMETRIC_ZERO, np.uint8)
    if "weight_zero_point" in parts or not is_symmetric:
        packed = _nibbles(np.ascontiguousarray(_integers(parts, "weight_zero_point").T))
        zeros = np.ascontiguousarray(packed.T[: scales.shape[0]])
    if is_symmetric and (zeros != _SYMMETRIC_ZERO).any():
        raise _error(parts["weight_zero_point"], "symmetric in quantization_config, but zero points are not all 8")
    return codes, zeros, scales


def _integers(parts: dict[str, StoredTensor], part: str) -> npt.NDArray[np.int32]:
    tensor = _part(parts, part)
    if tensor.kind != "I32":
        raise _error(tensor, f"element type {tensor.kind} instead of I32")
    return tensor.raw_rows(0, tensor.shape[0]).view(np.int32).reshape(tensor.shape)


def _scales(parts: dict[str, StoredTensor], part: str, *, transposed: bool) -> Float32:
    tensor = _part(parts, part)
    values = tensor.values()
    with naming(tensor):
        finite(values, "scale")
    return np.ascontiguousarray(values.T if transposed else values)


def _part(parts: dict[str, StoredTensor], part: str) -> StoredTensor:
    if part not in parts:
        codes = next(iter(parts.values()))
        raise ExportError(f"{codes.path}: {codes.name}: its {part} is missing")
    return parts[part]


def _nibbles(packed: npt.NDArray[np.int32], order: tuple[int, ...] = tuple(range(8))) -> Bytes:
    """Eight codes of every int32: uint8 [rows, 8 * columns]. `order[j]` is the nibble of value j."""
    shifts = 4 * np.array(order, dtype=np.uint32)
    values = (packed.view(np.uint32)[..., None] >> shifts) & np.uint32(15)
    return values.astype(np.uint8).reshape(packed.shape[0], -1)


def _error(tensor: StoredTensor, message: str) -> ExportError:
    return ExportError(f"{tensor.path}: {tensor.name}: {message}")


_GPTQ_PARTS = ("qzeros", "g_idx")
_AWQ = _Form("qweight", "scales", ("qzeros",), _read_awq, lambda codes: (codes.shape[1] * 8, codes.shape[0]))
_GPTQ_BY_ADDED = tuple(
    _Form("qweight", "scales", _GPTQ_PARTS, read, lambda codes: (codes.shape[1], codes.shape[0] * 8))
    for read in (_read_gptq_v2, _read_gptq)
)
"""Indexed by what is added to stored zero points."""
_COMPRESSED = _Form(
    "weight_packed",
    "weight_scale",
    ("weight_zero_point", "weight_shape"),
    _read_compressed,
    lambda codes: (codes.shape[0], codes.shape[1] * 8),
)
_COMPRESSED_WITH_ZEROS = replace(_COMPRESSED, read=_read_compressed_with_zeros)
