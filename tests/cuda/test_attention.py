"""PagedAttention in CUDA, emulated: the CPU's within rounding, the same bits whatever else is in the step."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from gpu.cases import LATENT
from hypothesis import HealthCheck, assume, given, settings

from cuda.conftest import Kernels
from ops.attention_cases import Case, build, cases
from ops.attention_reference import Attention
from ops.operators import OneNode

ROUNDING = 4e-6
"""Of the largest value: sums of a few hundred floats in two orders. One float16 would be off by 100 times that."""


def check(kernels: Kernels, case: Case) -> None:
    """Caches equal the CPU's bits, the output nearly; the CPU's kernel changes the caches of the case itself."""
    found = kernels.attention(case.attention, case.inputs)
    expected = OneNode("PagedAttention", case.inputs, case.attributes()).run()
    largest = float(np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(found.output, expected, rtol=0, atol=ROUNDING * largest)
    for name, cache in (("key_cache", found.key_cache), ("value_cache", found.value_cache)):
        held = case.inputs[name]
        if held is not None and cache is not None:
            np.testing.assert_array_equal(cache.view(np.int16), held.view(np.int16))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=cases())
def test_any_call_is_the_cpus_within_rounding(kernels: Kernels, case: Case) -> None:
    """Whatever the mix of layout, lengths, pages, window and rotary."""
    cache = case.inputs["key_cache"]
    assert cache is not None
    assume(cache.dtype == np.float16)
    check(kernels, case)


@pytest.mark.parametrize("past", [0, 255, 256, 1100])
def test_long_decode_is_split_at_absolute_positions(kernels: Kernels, past: int) -> None:
    """Segments of 256 keys go to separate thread blocks and are merged in order."""
    check(kernels, build(LATENT, 576, [(past, 1)], rope_half=32, page_tokens=64))


def test_decode_and_prefill_share_one_step(kernels: Kernels) -> None:
    check(kernels, build(LATENT, 576, [(300, 1), (0, 40), (17, 1), (5, 0), (5, 3)], rope_half=32, page_tokens=32))


def test_a_prompt_goes_through_segments_in_order(kernels: Kernels) -> None:
    """Many tiles are not split: each goes through the segments by itself."""
    check(kernels, build(Attention(8, 2), 64, [(250, 260)], rope_half=32))


def test_how_many_splits_there_are_changes_no_bit(emulator: Kernels) -> None:
    """A bound on the lengths that is far too high cuts more finely."""
    case = build(LATENT, 576, [(700, 1), (30, 2)], rope_half=32, page_tokens=64)
    expected = emulator.attention(case.attention, case.inputs).output
    call = emulator.put_attention(case.attention, case.inputs)
    call.structure.max_total = 4000
    workspace = emulator.memory.fill(
        (emulator.library.youtu_cuda_attention_workspace(ctypes.byref(call.structure)),), np.uint8
    )
    call.structure.workspace = workspace.address
    emulator.enqueue("attention", ctypes.byref(call.structure))
    np.testing.assert_array_equal(emulator.memory.get(call.output).view(np.int32), expected.view(np.int32))


def test_a_sequence_is_the_same_alone_and_among_others(emulator: Kernels) -> None:
    case = build(Attention(6, 2), 64, [(300, 1), (0, 70), (520, 3)], rope_half=32)
    whole = emulator.attention(case.attention, case.inputs).output
    cumulative = case.inputs["cumulative_sequence_length"]
    assert cumulative is not None
    for b in range(3):
        tokens = slice(cumulative[b], cumulative[b + 1])
        inputs = {name: None if array is None else array.copy() for name, array in case.inputs.items()}
        for name in ("query", "key", "value", "slot_mapping"):
            inputs[name] = inputs[name][tokens]  # type: ignore[index]
        for name in ("past_seqlens", "block_table"):
            inputs[name] = inputs[name][b : b + 1]  # type: ignore[index]
        inputs["cumulative_sequence_length"] = np.array([0, tokens.stop - tokens.start], np.int32)
        alone = emulator.attention(case.attention, inputs).output
        np.testing.assert_array_equal(alone.view(np.int32), whole[tokens].view(np.int32))


def test_query_that_sees_nothing_yields_zeros(emulator: Kernels) -> None:
    case = build(Attention(4, 2), 64, [(40, 2)], dropped=1.1)
    assert not emulator.attention(case.attention, case.inputs).output.any()


def test_keys_out_of_sight_are_never_read(emulator: Kernels) -> None:
    """Slots after the last token and before the window may hold anything, even not-a-number."""
    case = build(Attention(4, 2, local_window_size=20), 64, [(90, 1)])
    clean = emulator.attention(case.attention, case.inputs).output
    table = case.inputs["block_table"]
    assert table is not None
    for cache in (case.inputs["key_cache"], case.inputs["value_cache"]):
        assert cache is not None
        cache[table[0, 5], 91 - 80 :] = np.nan
        cache[table[0, :4]] = np.nan
    np.testing.assert_array_equal(emulator.attention(case.attention, case.inputs).output, clean)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"width": 1025},
        {"heads": 3},
        {"page_tokens": 0},
        {"value_width": 80},
        {"rope_half": 40},
        {"window": -1},
    ],
)
def test_sizes_that_are_not_supported_are_refused(emulator: Kernels, wrong: dict[str, int]) -> None:
    case = build(Attention(4, 2), 64, [(5, 1)])
    call = emulator.put_attention(case.attention, case.inputs)
    for name, value in wrong.items():
        setattr(call.structure, name, value)
    assert emulator.library.youtu_cuda_attention_workspace(ctypes.byref(call.structure)) == -1
    assert emulator.library.youtu_cuda_attention(ctypes.byref(call.structure), None) == 1
