"""The kernels of libyoutu_edge_ops_cuda.so, or of its emulator, as functions of numpy arrays.

Every function puts its arrays into memory, calls the C function and gets the result: for checks, not for speed.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gpu.memory import Buffer, CudaError, Memory
from numpy.typing import NDArray

INTERFACE = 2
Tiled = dict[str, NDArray[Any]]
"""A matrix as it lies in weights.bin: codes, scales and maybe zero_points or minimums, in tiles."""

_POINTER, _LONG, _INT, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_float


def _fields(text: str) -> list[tuple[str, Any]]:
    """Of a structure in interface.h: `pointers: a b; longs: c; ints: d; floats: e`, in this order."""
    types = {"pointers": _POINTER, "longs": _LONG, "ints": _INT, "floats": _FLOAT}
    parts = [part.split(":") for part in text.split(";")]
    return [(name, types[kind.strip()]) for kind, names in parts for name in names.split()]


class Matrix(ctypes.Structure):
    """YoutuMatrix."""

    _fields_ = _fields("pointers: codes scales zero_points minimums; longs: rows k; ints: bits block heads")


class Activations(ctypes.Structure):
    """YoutuActivations."""

    _fields_ = _fields("pointers: codes scales negative_sums totals")


class Attention(ctypes.Structure):
    """YoutuAttention."""

    _fields_ = _fields(
        "pointers: query key value key_cache value_cache cumulative past block_table cos sin slots output workspace;"
        "longs: query_stride key_stride value_stride tokens sequences table_width max_total;"
        "ints: page_tokens heads kv_heads width value_width rope_half rope_offset interleaved window causal;"
        "ints: bidirectional_prefix;"
        "floats: scale softcap"
    )


_FUNCTIONS: dict[str, list[Any]] = {
    "quantise": [_POINTER, _LONG, _LONG, _INT, ctypes.POINTER(Activations), _POINTER],
    "linear": [ctypes.POINTER(Matrix), ctypes.POINTER(Activations), _LONG, _POINTER, _POINTER],
    "embedding": [ctypes.POINTER(Matrix), _POINTER, _LONG, _POINTER, _POINTER],
    "rms_norm": [_POINTER, _POINTER, _POINTER, _FLOAT, _POINTER, _POINTER, _LONG, _LONG, _POINTER],
    "swiglu": [_POINTER, _POINTER, _LONG, _LONG, _POINTER],
    "geglu": [_POINTER, _POINTER, _LONG, _LONG, _POINTER],
    "attention": [ctypes.POINTER(Attention), _POINTER],
}


@dataclass
class QuantisedMatrix:
    """A matrix in memory; keeps its buffers."""

    structure: Matrix
    buffers: list[Buffer]

    @property
    def bytes(self) -> int:
        return sum(buffer.bytes for buffer in self.buffers)


@dataclass
class QuantisedRows:
    """Activations in memory; keeps their buffers: codes, scales, minus sums, totals."""

    structure: Activations
    buffers: list[Buffer]


@dataclass
class AttentionCall:
    """A call in memory; keeps its buffers by the names of the operator's inputs."""

    structure: Attention
    buffers: dict[str, Buffer]
    output: Buffer


@dataclass
class AttentionResult:
    """What a call leaves behind."""

    output: NDArray[np.float32]
    key_cache: NDArray[np.float16]
    value_cache: NDArray[np.float16] | None


class Kernels:
    """One library and the memory that it works on."""

    def __init__(self, path: Path, memory: Memory) -> None:
        self.memory = memory
        self.library = ctypes.CDLL(str(path))
        found = self.library.youtu_cuda_interface()
        if found != INTERFACE:
            raise CudaError(
                f"{path}: its interface is version {found}, expected {INTERFACE}; run scripts/build-ops-cuda again"
            )
        for name, arguments in _FUNCTIONS.items():
            getattr(self.library, f"youtu_cuda_{name}").argtypes = arguments
        self.library.youtu_cuda_attention_workspace.restype = _LONG
        self.library.youtu_cuda_attention_workspace.argtypes = [ctypes.POINTER(Attention)]

    def enqueue(self, name: str, *arguments: Any, stream: ctypes.c_void_p | None = None) -> None:
        """One operator, on the default stream unless another one is given."""
        code = getattr(self.library, f"youtu_cuda_{name}")(*arguments, stream)
        if code != 0:
            raise CudaError(f"youtu_cuda_{name}: cudaError {code}{self._reason()}")

    def _reason(self) -> str:
        """What the emulator says of a failed launch."""
        if not hasattr(self.library, "youtu_emulator_failure"):
            return ""
        self.library.youtu_emulator_failure.restype = ctypes.c_char_p
        return f" ({self.library.youtu_emulator_failure().decode()})"

    def put_matrix(self, weights: Tiled, n: int, bits: int, block: int, heads: int = 1) -> QuantisedMatrix:
        buffers = {name: self.memory.put(array) for name, array in weights.items()}
        k = weights["scales"].shape[1] * block
        structure = Matrix(rows=n, k=k, bits=bits, block=block, heads=heads)
        for name, buffer in buffers.items():
            setattr(structure, name, buffer.address)
        return QuantisedMatrix(structure, list(buffers.values()))

    def quantise_rows(self, x: Buffer, block: int) -> QuantisedRows:
        rows, width = x.shape
        kinds = [((rows, width), np.int8), *[((rows, width // block), np.float32)] * 3]
        buffers = [self.memory.fill(shape, kind) for shape, kind in kinds]
        structure = Activations(*(buffer.address for buffer in buffers))
        self.enqueue("quantise", x.address, rows, width, block, ctypes.byref(structure))
        return QuantisedRows(structure, buffers)

    def quantise(self, x: NDArray[np.float32], block: int) -> list[NDArray[Any]]:
        """Codes, scales, minus the sums of the codes, sums of the values."""
        held = self.memory.put(x)
        return [self.memory.get(buffer) for buffer in self.quantise_rows(held, block).buffers]

    def linear(
        self,
        x: NDArray[np.float32],
        weights: Tiled,
        *,
        n: int,
        bits: int,
        block_size: int,
        heads: int = 1,
    ) -> NDArray[np.float32]:
        matrix = self.put_matrix(weights, n, bits, block_size, heads)
        held = self.memory.put(x)
        rows = self.quantise_rows(held, block_size)
        y = self.memory.fill((len(x), heads * n), np.float32)
        self.enqueue("linear", ctypes.byref(matrix.structure), ctypes.byref(rows.structure), len(x), y.address)
        return self.memory.get(y)

    def embedding(
        self, ids: NDArray[np.int64], weights: Tiled, *, n: int, bits: int, block_size: int
    ) -> NDArray[np.float32]:
        matrix = self.put_matrix(weights, n, bits, block_size)
        held = self.memory.put(ids)
        y = self.memory.fill((len(ids), matrix.structure.k), np.float32)
        self.enqueue("embedding", ctypes.byref(matrix.structure), held.address, len(ids), y.address)
        return self.memory.get(y)

    def rms_norm(
        self, x: NDArray[np.float32], residual: NDArray[np.float32] | None, gain: NDArray[np.float32], epsilon: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """(norm, x + residual)"""
        held = [self.memory.put(array) for array in (x, gain)]
        added = None if residual is None else self.memory.put(residual)
        output = self.memory.fill(x.shape, np.float32)
        total = None if added is None else self.memory.fill(x.shape, np.float32)
        self.enqueue(
            "rms_norm", held[0].address, added and added.address, held[1].address, epsilon, total and total.address,
            output.address, *x.shape,
        )  # fmt: skip
        return self.memory.get(output), None if total is None else self.memory.get(total)

    def swiglu(self, gate_up: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._gated("swiglu", gate_up)

    def geglu(self, gate_up: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._gated("geglu", gate_up)

    def _gated(self, name: str, gate_up: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, width = gate_up.shape[0], gate_up.shape[1] // 2
        held = self.memory.put(gate_up)
        output = self.memory.fill((rows, width), np.float32)
        self.enqueue(name, held.address, output.address, rows, width)
        return self.memory.get(output)

    def put_attention(self, attributes: Any, inputs: dict[str, NDArray[Any] | None]) -> AttentionCall:
        """A call of PagedAttention in memory. `attributes` has the fields of `Attention` in tests/ops."""
        held = {name: self.memory.put(array) for name, array in inputs.items() if array is not None}
        address = {name: buffer.address for name, buffer in held.items()}
        cache, query = held["key_cache"], held["query"]
        _, page_tokens, kv_heads, width = cache.shape
        latent = attributes.kv_cache_layout == "LATENT"
        heads, value_width = attributes.num_heads, attributes.v_head_size or width
        tokens, stride = query.shape
        past, new = inputs["past_seqlens"], inputs["cumulative_sequence_length"]
        assert past is not None
        assert new is not None
        output = self.memory.fill((tokens, heads * value_width), np.float32)
        cosines = held.get("cos_cache") if attributes.do_rotary else None
        packed = "key" not in held
        c = Attention(
            query=query.address,
            key=query.address + 4 * heads * width if packed else address["key"],
            value=None if latent else query.address + 4 * (heads + kv_heads) * width if packed else address["value"],
            key_cache=cache.address,
            value_cache=address.get("value_cache"),
            cumulative=address["cumulative_sequence_length"],
            past=address["past_seqlens"],
            block_table=address["block_table"],
            cos=cosines and cosines.address,
            sin=cosines and address["sin_cache"],
            slots=address.get("slot_mapping"),
            output=output.address,
            query_stride=stride,
            key_stride=stride if packed else kv_heads * width,
            value_stride=stride if packed else kv_heads * width,
            tokens=tokens,
            sequences=len(past),
            table_width=held["block_table"].shape[1],
            max_total=int((past + np.diff(new)).max()),
            page_tokens=page_tokens,
            heads=heads,
            kv_heads=kv_heads,
            width=width,
            value_width=value_width,
            rope_half=cosines.shape[1] if cosines else 0,
            rope_offset=attributes.rotary_offset if cosines else 0,
            interleaved=attributes.rotary_interleaved,
            window=max(attributes.local_window_size, 0),
            causal=attributes.is_causal,
            bidirectional_prefix=attributes.bidirectional_prefix,
            scale=np.float32(attributes.scale) or np.float32(1) / np.sqrt(np.float32(width)),
            softcap=attributes.softcap,
        )
        size = self.library.youtu_cuda_attention_workspace(ctypes.byref(c))
        if size < 0:
            raise CudaError("youtu_cuda_attention_workspace: the call is not supported")
        held["workspace"] = self.memory.fill((size,), np.uint8)
        c.workspace = held["workspace"].address
        return AttentionCall(c, held, output)

    def attention(self, attributes: Any, inputs: dict[str, NDArray[Any] | None]) -> AttentionResult:
        call = self.put_attention(attributes, inputs)
        self.enqueue("attention", ctypes.byref(call.structure))
        values = call.buffers.get("value_cache")
        return AttentionResult(
            self.memory.get(call.output),
            self.memory.get(call.buffers["key_cache"]),
            None if values is None else self.memory.get(values),
        )
