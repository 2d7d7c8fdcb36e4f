"""The hot loops to simulate, and the figures of each."""

from __future__ import annotations

from dataclasses import dataclass

from boards.kernel_trace import KernelRuns
from boards.processor import MODEL, Cycles, Simulator, by_hand

SDOT_PRODUCTS, FMA_PRODUCTS = 16, 4  # per instruction
VECTOR_PIPELINES = 2


@dataclass(frozen=True)
class Kernel:
    """One run of a kernel: the arguments of kernel_runs.cc, its products, and whether it multiplies integers."""

    title: str
    arguments: str
    products: int
    integers: bool

    @property
    def peak(self) -> int:
        """Products per cycle that two vector pipelines can do."""
        return VECTOR_PIPELINES * (SDOT_PRODUCTS if self.integers else FMA_PRODUCTS)


def linear(bits: int, block: int, rows: int, k: int = 2048, n: int = 16, heads: int = 1) -> Kernel:
    """Linear, or HeadwiseLinear when there are several heads."""
    title = f"Linear {bits} bits, block {block}, {rows} row{'s' if rows > 1 else ''}"
    if heads > 1:
        title = f"HeadwiseLinear {k} -> {n}, {bits} bits, {rows} row{'s' if rows > 1 else ''}"
    return Kernel(title, f"linear {bits} {block} {rows} {k} {n} {heads}", rows * k * n * heads, True)


def attention(layout: str, heads: int, kv_heads: int, width: int, value_width: int, keys: int) -> Kernel:
    """PagedAttention for one new token."""
    title = f"PagedAttention {layout.upper()} {heads}/{kv_heads}x{width}, 1 token, {keys} keys"
    arguments = f"attention {layout} {heads} {kv_heads} {width} {value_width} {keys} 1"
    return Kernel(title, arguments, heads * keys * (width + value_width), False)


LATENT_KEYS = 32
LINEAR_ROWS = (1, 4, 8, 16)
LATENT = attention("latent", 16, 1, 576, 512, LATENT_KEYS)
KERNELS = [
    *(linear(bits, block, rows) for bits, block in ((4, 32), (4, 128), (8, 128)) for rows in LINEAR_ROWS),
    *(linear(8, 128, rows, k, n, 2) for k, n in ((128, 512), (512, 128)) for rows in (1, 8)),
    LATENT,
    attention("separate", 9, 3, 64, 64, 64),
    attention("separate", 32, 8, 128, 128, 64),
]


@dataclass(frozen=True)
class Figures:
    """One kernel on one core whose data is in the cache.

    `loop` is an iteration of its innermost loop, `loop_share` the share of the peak in it, `hand` the pipeline bounds
    counted by hand, `other_model` the result with LLVM's own model for -mcpu=cortex-a76. `cycles` is for the whole run.
    """

    kernel: Kernel
    loop: Cycles
    loop_products: int
    hand: dict[str, float]
    other_model: float
    cycles: float

    @property
    def loop_share(self) -> float:
        return self.loop_products / self.loop.total / self.kernel.peak

    @property
    def products_per_cycle(self) -> float:
        return self.kernel.products / self.cycles

    @property
    def share(self) -> float:
        return self.products_per_cycle / self.kernel.peak


def simulate(kernel: Kernel, runs: KernelRuns, simulator: Simulator) -> Figures:
    """Run the kernel under qemu, and its trace through llvm-mca."""
    trace = runs.trace(kernel.arguments.split())
    name, each = ("sdot", SDOT_PRODUCTS) if kernel.integers else ("fmla", FMA_PRODUCTS)
    multiplications = sum(line.startswith(name) for line in trace.loop)
    return Figures(
        kernel,
        simulator.loop(trace.loop, MODEL),
        multiplications * each,
        by_hand(trace.loop),
        simulator.loop(trace.loop, "cortex-a76").total,
        simulator.run(trace.instructions),
    )
