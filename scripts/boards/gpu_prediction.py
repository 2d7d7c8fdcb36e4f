"""From bytes, arithmetic, launches and clocks to tokens per second on the GPU of Orin NX: a model, and nothing measured.

    kernel      max(bytes / bandwidth, products / (peak * efficiency)) + GAP_S
    step        max(sum of the kernels, nodes * NODE_S)

The second is the host, which hands the graph to the GPU node by node. Every constant is a range, slow and fast: what a
board's data sheet says, times what kernels of this kind reach elsewhere. Left out: heat, other programs, sampling and text.
"""

from __future__ import annotations

from dataclasses import dataclass

from boards.prediction import HEAD, HEADS, LATENT_BYTES, LAYER, LAYERS, Matrix, bytes_per_token

NODES_PER_LAYER = 20
"""Of the graph; a test counts them."""
LAUNCHES_PER_LAYER = 26
"""Seven Linear of two kernels each, four norms, SwiGLU, three of attention, four of ONNX Runtime's Split and Concat."""
KEY_PRODUCTS = 576 + 512
"""Of one head and one key: its score and its value."""
VOCABULARY_BYTES = 128_256 * 4

MULTIPROCESSORS = 8
DP4A_PRODUCTS, TENSOR_PRODUCTS, HALF_PRODUCTS = 64 * 4, 2048, 1024
"""Of a multiprocessor in a clock, at most: dp4a, tensor cores (dense) with int8 and with float16."""
HALVES = 2
"""float16 that stand for one query or weight of attention."""
MOST_WORKSPACE = 16 * 2**20
"""kMostWorkspace of ops/cuda/attention_launches.cu; a test compares them."""


@dataclass(frozen=True)
class Assumed:
    """One end of the ranges."""

    bandwidth: float
    """Bytes per second that a kernel gets."""
    dp4a: float
    """Part of the peak; the other instructions of the loop, which unpack, count as lost."""
    tensor: float
    attention: float
    gap_s: float
    """Between kernels that depend on each other."""
    node_s: float
    """Of the host, for one node of the graph."""
    runtime_bytes: float
    """Driver, ONNX Runtime with its CUDA provider, Python and the front."""


SLOW = Assumed(60e9, 0.15, 0.15, 0.10, 4e-6, 20e-6, 520e6)
FAST = Assumed(82e9, 0.30, 0.35, 0.35, 2e-6, 10e-6, 380e6)
"""Of 102 GB/s, 59 and 80 %. The slow attention allows for tensor cores that sum float16 to floats at half their speed."""


@dataclass(frozen=True)
class Module:
    """An Orin NX in its highest power mode."""

    name: str
    clock: float
    """Of the GPU, in Hz."""


MODULES = (Module("Orin NX 16 GB, GPU at 918 MHz", 918e6), Module("Orin NX 8 GB, GPU at 765 MHz", 765e6))


def decode_s(module: Module, assumed: Assumed, context: int, streams: int = 1) -> float:
    """A step of so many sequences, each after `context` tokens."""
    matrices = ((HEAD, 1), *((matrix, LAYERS) for matrix in LAYER))
    time = sum(count * _matrix_s(module, assumed, matrix, streams) for matrix, count in matrices)
    attended = streams * HEADS * context * KEY_PRODUCTS * HALVES * LAYERS / _rate(module, HALF_PRODUCTS, assumed.attention)
    time += max(streams * context * LATENT_BYTES / assumed.bandwidth, attended)
    return _with_launches(time, assumed)


def first_token_s(module: Module, assumed: Assumed, tokens: int) -> float:
    """A prompt of so many tokens in one step."""
    time = _matrix_s(module, assumed, HEAD, 1) + sum(
        LAYERS * _matrix_s(module, assumed, matrix, tokens) for matrix in LAYER
    )
    pairs = HEADS * tokens * (tokens + 1) / 2
    time += pairs * KEY_PRODUCTS * HALVES * LAYERS / _rate(module, HALF_PRODUCTS, assumed.attention)
    return _with_launches(time, assumed)


def memory_bytes(assumed: Assumed, tokens: int, step_tokens: int) -> float:
    """Weights once, a cache for `tokens`, scratch, activations of a step: gate and up, the stream, queries and values."""
    widest = max(matrix.heads * matrix.n for matrix in LAYER)
    activations = step_tokens * (2 * widest + 4 * 2048 + 2 * HEADS * (576 + 512)) * 4
    scratch = max(step_tokens * widest * 2, MOST_WORKSPACE)
    return bytes_per_token() + tokens * LATENT_BYTES + activations + scratch + VOCABULARY_BYTES + assumed.runtime_bytes


def _matrix_s(module: Module, assumed: Assumed, matrix: Matrix, rows: int) -> float:
    peak, part = (DP4A_PRODUCTS, assumed.dp4a) if rows <= 8 else (TENSOR_PRODUCTS, assumed.tensor)
    rate = _rate(module, peak, part)
    return max(matrix.bytes / assumed.bandwidth, rows * matrix.products / rate)


def _rate(module: Module, products: int, part: float) -> float:
    return MULTIPROCESSORS * products * module.clock * part


def _with_launches(time: float, assumed: Assumed) -> float:
    gpu = time + LAYERS * LAUNCHES_PER_LAYER * assumed.gap_s
    return max(gpu, LAYERS * NODES_PER_LAYER * assumed.node_s)
