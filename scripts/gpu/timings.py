"""Part (b): seconds and bytes of Linear and PagedAttention at Youtu-LLM-2B's shapes, and of plain copies beside them.

Launches are recorded into a CUDA graph, as an engine would run them: the host's time for a launch is not measured, what the
GPU spends between two kernels is. Matrices and caches take turns, so that they come from memory and not from a cache.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from gpu.cases import LATENT, floats, quantised
from gpu.kernels import Kernels, Matrix, QuantisedMatrix, QuantisedRows
from gpu.memory import Buffer, GpuMemory

from ops.attention_call import build

COLD_BYTES = 512 << 20  # of matrices or caches that take turns: more than any cache holds
LAUNCHES = 64  # of a graph, at least
REPEATS = 5  # of a graph; the median counts


@dataclass(frozen=True)
class LinearShape:
    """A matrix of the model; `k` and `n` are those of one head."""

    name: str
    k: int
    n: int
    heads: int = 1
    bits: int = 4
    block: int = 32
    offset: str = "none"

    @property
    def bytes(self) -> int:
        blocks = self.heads * self.n * self.k // self.block
        return (
            self.heads * self.n * self.k * self.bits // 8
            + blocks * {"none": 2, "zero_points": 3, "minimums": 4}[self.offset]
        )


SHAPES = (
    LinearShape("q_a", 2048, 1536),
    LinearShape("q_b", 1536, 3072),
    LinearShape("kv_a", 2048, 576),
    LinearShape("w_uk", 128, 512, heads=16, bits=8),
    LinearShape("w_uv", 512, 128, heads=16, bits=8),
    LinearShape("o", 2048, 2048),
    LinearShape("gate_up", 2048, 12288),
    LinearShape("gate_up of blocks of 128", 2048, 12288, block=128, offset="zero_points"),
    LinearShape("down", 6144, 2048),
    LinearShape("head", 2048, 128256, bits=8),
)
ROWS = (1, 8, 128)
DECODE = tuple((sequences, past) for sequences in (1, 8) for past in (512, 2048, 8192))
PREFILL = 512


@dataclass
class Timing:
    """`bytes` is what has to be read from memory; `seconds` and what follows from it are None in a dry run."""

    name: str
    rows: int
    bytes: int
    seconds: float | None = None
    bytes_per_second: float | None = None
    part_of_copy: float | None = None  # of the bandwidth of a large copy
    part_of_equal_copy: float | None = None  # of that of a copy which reads and writes as many bytes

    def measured(self, seconds: float, large_copy: float, equal_copy: float) -> None:
        self.seconds = seconds
        self.bytes_per_second = self.bytes / seconds
        self.part_of_copy = self.bytes_per_second / large_copy
        self.part_of_equal_copy = self.bytes_per_second / equal_copy

    def document(self) -> dict[str, Any]:
        return asdict(self)


def planned_linear() -> list[tuple[LinearShape, Timing]]:
    return [(shape, Timing(f"Linear {shape.name}", rows, shape.bytes)) for shape in SHAPES for rows in ROWS]


def planned_decode() -> list[tuple[int, int, Timing]]:
    row = 576 * 2
    return [
        (sequences, past, Timing(f"PagedAttention decode, {sequences} x {past}", sequences, sequences * (past + 1) * row))
        for sequences, past in DECODE
    ]


def planned_prefill() -> Timing:
    return Timing(f"PagedAttention prefill of {PREFILL}", PREFILL, PREFILL * 576 * 2)


class Stopwatch:
    """Measures what is enqueued on one stream."""

    def __init__(self, memory: GpuMemory) -> None:
        self._memory = memory
        self.stream = ctypes.c_void_p()
        memory.call("cudaStreamCreate", ctypes.byref(self.stream))
        self._events = (ctypes.c_void_p(), ctypes.c_void_p())
        for event in self._events:
            memory.call("cudaEventCreate", ctypes.byref(event))

    def seconds(self, launch: Callable[[int, ctypes.c_void_p], None], turns: int) -> float:
        """Of one `launch(turn, stream)`: the median over several graphs of them."""
        call, graph, ready = self._memory.call, ctypes.c_void_p(), ctypes.c_void_p()
        count = -(-max(LAUNCHES, turns) // turns) * turns
        call("cudaStreamBeginCapture", self.stream, 2)
        for turn in range(count):
            launch(turn % turns, self.stream)
        call("cudaStreamEndCapture", self.stream, ctypes.byref(graph))
        call("cudaGraphInstantiate", ctypes.byref(ready), graph, ctypes.c_ulonglong(0))
        call("cudaGraphLaunch", ready, self.stream)
        results = []
        for _ in range(REPEATS):
            elapsed = ctypes.c_float()
            call("cudaEventRecord", self._events[0], self.stream)
            call("cudaGraphLaunch", ready, self.stream)
            call("cudaEventRecord", self._events[1], self.stream)
            call("cudaEventSynchronize", self._events[1])
            call("cudaEventElapsedTime", ctypes.byref(elapsed), *self._events)
            results.append(elapsed.value / 1000 / count)
        call("cudaGraphExecDestroy", ready)
        call("cudaGraphDestroy", graph)
        return sorted(results)[REPEATS // 2]


class Copies:
    """The bandwidth of copies inside the device, read and written bytes together."""

    def __init__(self, memory: GpuMemory, stopwatch: Stopwatch) -> None:
        self._memory, self._stopwatch = memory, stopwatch
        self._source, self._target = (memory.fill((COLD_BYTES,), np.uint8) for _ in range(2))
        self.large = self.of(COLD_BYTES)

    def of(self, size: int) -> float:
        """Of one that reads and writes `size` bytes together, at other places each time."""
        half = max(size // 2, 1)
        turns = max(1, min(COLD_BYTES // half, 256))

        def launch(turn: int, stream: ctypes.c_void_p) -> None:
            arguments = (
                ctypes.c_void_p(self._target.address + turn * half),
                ctypes.c_void_p(self._source.address + turn * half),
            )
            self._memory.call("cudaMemcpyAsync", *arguments, ctypes.c_size_t(half), 3, stream)

        return 2 * half / self._stopwatch.seconds(launch, turns)


def _copy(memory: GpuMemory, buffer: Buffer) -> Buffer:
    """The same content at another place."""
    other = memory.fill(buffer.shape, buffer.dtype)
    memory.enqueue_copy(other.address, buffer.address, buffer.bytes)
    return other


def _turns(size: int) -> int:
    return max(2, min(256, COLD_BYTES // size))


def _matrices(kernels: Kernels, memory: GpuMemory, shape: LinearShape) -> list[QuantisedMatrix]:
    """The same matrix at as many places as are cold together."""
    weights = quantised(np.random.default_rng(1), shape.n, shape.k, shape.bits, shape.block, shape.offset, shape.heads)
    first = kernels.put_matrix(weights, shape.n, shape.bits, shape.block, shape.heads)
    matrices = [first]
    for _ in range(_turns(shape.bytes) - 1):
        structure = Matrix.from_buffer_copy(first.structure)
        buffers = [_copy(memory, buffer) for buffer in first.buffers]
        for name, buffer in zip(weights, buffers, strict=True):
            setattr(structure, name, buffer.address)
        matrices.append(QuantisedMatrix(structure, buffers))
    return matrices


def time_linear(kernels: Kernels, memory: GpuMemory, stopwatch: Stopwatch, copies: Copies) -> list[Timing]:
    """Without the quantisation of x, which several matrices share."""
    timings = []
    for shape in SHAPES:
        matrices, equal = _matrices(kernels, memory, shape), copies.of(shape.bytes)
        for timing in [timing for planned, timing in planned_linear() if planned is shape]:
            x = memory.put(floats(2, timing.rows, shape.heads * shape.k))
            rows = kernels.quantise_rows(x, shape.block)
            y = memory.fill((timing.rows, shape.heads * shape.n), np.float32)
            launch = partial(_launch_linear, kernels, matrices, rows, y)
            timing.measured(stopwatch.seconds(launch, len(matrices)), copies.large, equal)
            timings.append(timing)
    return timings


def _launch_linear(
    kernels: Kernels,
    matrices: list[QuantisedMatrix],
    rows: QuantisedRows,
    y: Buffer,
    turn: int,
    stream: ctypes.c_void_p,
) -> None:
    given = ctypes.byref(matrices[turn].structure), ctypes.byref(rows.structure), y.shape[0], y.address
    kernels.enqueue("linear", *given, stream=stream)


def time_attention(kernels: Kernels, memory: GpuMemory, stopwatch: Stopwatch, copies: Copies) -> list[Timing]:
    timings = []
    for sequences, past, timing in planned_decode():
        timings.append(_time_call(kernels, memory, stopwatch, copies, [(past, 1)] * sequences, timing))
    timings.append(_time_call(kernels, memory, stopwatch, copies, [(0, PREFILL)], planned_prefill()))
    return timings


def _time_call(
    kernels: Kernels,
    memory: GpuMemory,
    stopwatch: Stopwatch,
    copies: Copies,
    lengths: list[tuple[int, int]],
    timing: Timing,
) -> Timing:
    case = build(LATENT, 576, lengths, rope_half=32, page_tokens=64)
    call = kernels.put_attention(case.attention, case.inputs)
    caches = [call.buffers["key_cache"]]
    caches += [_copy(memory, caches[0]) for _ in range(min(_turns(caches[0].bytes), 64) - 1)]
    structures = [type(call.structure).from_buffer_copy(call.structure) for _ in caches]
    for structure, cache in zip(structures, caches, strict=True):
        structure.key_cache = cache.address

    def launch(turn: int, stream: ctypes.c_void_p) -> None:
        kernels.enqueue("attention", ctypes.byref(structures[turn]), stream=stream)

    timing.measured(stopwatch.seconds(launch, len(caches)), copies.large, copies.of(timing.bytes))
    return timing
