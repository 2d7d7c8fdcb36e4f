"""Part (a): every kernel against its numpy reference, and against the emulator: bits, but for attention."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import count, product
from typing import Any

import numpy as np
from gpu.cases import attention_cases, floats, linear_cases, matrix_rows
from gpu.kernels import Kernels
from numpy.typing import NDArray

from ops import reference

# Attention's reference is float64, and its cache float16: what tests/ops/test_paged_attention.py allows the CPU.
RELATIVE, ABSOLUTE = 2e-3, 2e-4
ATTENTION = 2e-4
"""Of the largest value, against the emulator: tensor cores may round each of their additions toward zero, for a score
2 * width / 16 of them. One float16 in place of two would be off by more."""
EPSILON = 1e-6


@dataclass
class Finding:
    """What the cases of one kernel gave."""

    kernel: str
    cases: int = 0
    values: int = 0
    differing_bits: int = 0  # values that are not those of the exact reference or of the emulator
    largest_error: float = 0.0  # against float64, where that is the reference
    failed: list[str] = field(default_factory=list)  # cases, at most five of them
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.cases > 0 and not self.failed

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "good": self.good}

    def exactly(self, case: str, found: NDArray[Any], expected: NDArray[Any]) -> None:
        """The same bits, NaN and signs of zeros included."""
        same = found.shape == expected.shape and found.dtype == expected.dtype
        kind = np.dtype(f"u{found.dtype.itemsize}")
        differing = int((found.view(kind) != expected.view(kind)).sum()) if same else found.size
        self.values += found.size
        self.differing_bits += differing
        if not same or differing:
            self.fail(f"{case}: {differing} of {found.size} values differ")

    def within(self, case: str, found: NDArray[Any], expected: NDArray[Any], bound: float) -> None:
        """Off by at most `bound` times the largest expected value."""
        self.values += found.size
        error = float(np.abs(found - expected).max(initial=0.0))
        if not error <= bound * float(np.abs(expected).max(initial=0.0)):
            self.fail(f"{case}: off by {error:.3g} from the emulator")

    def nearly(self, case: str, found: NDArray[Any], expected: NDArray[Any]) -> None:
        error = np.abs(found.astype(np.float64) - expected.astype(np.float64))
        self.largest_error = max(self.largest_error, float(error.max(initial=0.0)))
        if not np.allclose(found, expected, RELATIVE, ABSOLUTE):
            self.fail(f"{case}: off by {error.max():.3g}")

    def fail(self, text: str) -> None:
        if len(self.failed) < 5:
            self.failed.append(text)


Check = Callable[[Kernels, Kernels | None, Finding], Iterator[None]]


def check_linear(kernels: Kernels, emulator: Kernels | None, finding: Finding) -> Iterator[None]:
    for case in linear_cases():
        x, weights = case.inputs()
        expected = reference.linear(x, **weights, **case.attributes())
        finding.exactly(str(case), kernels.linear(x, weights, **case.attributes()), expected)
        yield


def check_quantise(kernels: Kernels, emulator: Kernels | None, finding: Finding) -> Iterator[None]:
    for case in linear_cases():
        x, _ = case.inputs()
        codes, scales, negative_sums, totals = kernels.quantise(x, case.block)
        expected, expected_scales, sums = reference.quantise_activations(x, case.block)
        finding.exactly(str(case), codes, expected.astype(np.int8))
        finding.exactly(str(case), scales, expected_scales)
        finding.exactly(str(case), negative_sums, (-sums).astype(np.float32))
        finding.exactly(str(case), totals, reference.sums_in_lanes(x.reshape(len(x), -1, case.block)))
        yield


def check_embedding(kernels: Kernels, emulator: Kernels | None, finding: Finding) -> Iterator[None]:
    for seed in count():
        ids, weights, rows, bits, block = matrix_rows(seed)
        found = kernels.embedding(ids, weights, n=rows, bits=bits, block_size=block)
        finding.exactly(f"seed {seed}", found, reference.embedding(ids, **weights, bits=bits))
        yield


def check_norms(kernels: Kernels, emulator: Kernels | None, finding: Finding) -> Iterator[None]:
    for seed, (rows, width, size) in enumerate(
        (rows, width, size)
        for rows in (1, 2, 7, 70)
        for width in (1, 16, 37, 576, 2048, 6144)
        for size in (1e-20, 1.0, 1e15)
    ):
        x, residual, gain = (
            floats(seed + 10**6 * i, *shape) for i, shape in enumerate([(rows, width), (rows, width), (width,)])
        )
        x *= np.float32(size)
        output, _ = kernels.rms_norm(x, None, gain, EPSILON)
        finding.exactly(f"RmsNorm {rows} x {width}", output, reference.rms_norm(x, gain, EPSILON))
        output, total = kernels.rms_norm(x, residual, gain, EPSILON)
        expected, expected_total = reference.add_rms_norm(x, residual, gain, EPSILON)
        assert total is not None
        finding.exactly(f"AddRmsNorm {rows} x {width}", output, expected)
        finding.exactly(f"AddRmsNorm {rows} x {width}", total, expected_total)
        yield


def check_swiglu(kernels: Kernels, emulator: Kernels | None, finding: Finding) -> Iterator[None]:
    for seed, (rows, width, size) in enumerate(product((1, 2, 7, 70), (1, 16, 37, 1536, 6144), (1.0, 30.0, 200.0))):
        gate_up = floats(seed, rows, 2 * width, size=size)
        found = kernels.swiglu(gate_up)
        with np.errstate(over="ignore"):
            finding.nearly(f"{rows} x {width}", found, reference.swiglu(gate_up))
        if emulator is not None:
            finding.exactly(f"{rows} x {width}", found, emulator.swiglu(gate_up))
        yield


def check_geglu(kernels: Kernels, emulator: Kernels | None, finding: Finding) -> Iterator[None]:
    for seed, (rows, width, size) in enumerate(product((1, 2, 7, 70), (1, 16, 37, 1536, 6144), (1.0, 30.0, 200.0))):
        gate_up = floats(seed, rows, 2 * width, size=size)
        found = kernels.geglu(gate_up)
        finding.nearly(f"{rows} x {width}", found, reference.geglu(gate_up))
        if emulator is not None:
            finding.exactly(f"{rows} x {width}", found, emulator.geglu(gate_up))
        yield


def check_attention(kernels: Kernels, emulator: Kernels | None, finding: Finding) -> Iterator[None]:
    for number, case in enumerate(attention_cases()):
        name = f"case {number}: {case.attention}"
        found = kernels.attention(case.attention, case.inputs)
        expected, keys, values = case.reference()
        finding.nearly(name, found.output, expected)
        finding.nearly(name, found.key_cache, keys)
        if values is not None and found.value_cache is not None:
            finding.exactly(name, found.value_cache, values)
        if emulator is not None:
            exact = emulator.attention(case.attention, case.inputs)
            finding.within(name, found.output, exact.output, ATTENTION)
            finding.exactly(name, found.key_cache, exact.key_cache)
        yield


CHECKS: dict[str, Check] = {
    "quantise": check_quantise,
    "linear": check_linear,
    "embedding": check_embedding,
    "rms_norm": check_norms,
    "swiglu": check_swiglu,
    "geglu": check_geglu,
    "attention": check_attention,
}


def run_checks(kernels: Kernels, emulator: Kernels | None, cases: int, seconds: float) -> list[Finding]:
    """At most so many cases of each kernel, and none that would begin after so many seconds of it."""
    findings = []
    for name, check in CHECKS.items():
        finding, start = Finding(name), time.monotonic()
        for _ in check(kernels, emulator, finding):
            finding.cases += 1
            if finding.cases >= cases or time.monotonic() - start > seconds:
                break
        finding.seconds = round(time.monotonic() - start, 2)
        findings.append(finding)
    return findings
