"""A row's result depends on that row and the rows before it: not on the batch, the chunks, the pages, the threads or the
processor. Compared to the last bit; tests/engine/test_batch_invariance.py does the same with whole models."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ops import reference
from ops.attention_cases import Case, build, cases
from ops.attention_reference import Attention
from ops.operators import OneNode, instruction_sets, run, select_instruction_set
from ops.test_linear import activations, in_order, matrix, same_bits

LATENT = Attention(16, 1, scale=192**-0.5, kv_cache_layout="LATENT", v_head_size=512, rotary_offset=512)
SEPARATE = Attention(9, 3)
examples = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def attend(case: Case, threads: int = 2) -> NDArray[np.float32]:
    """The output, computed on copies of the caches."""
    inputs = case.inputs | {name: _copy(case.inputs[name]) for name in ("key_cache", "value_cache")}
    return OneNode("PagedAttention", inputs, case.attributes(), threads).run()


def _copy(array: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if array is None else array.copy()


def part_of(case: Case, sequence: int, begin: int, end: int) -> Case:
    """Tokens [begin, end) of one sequence as a separate call on the same caches."""
    i = case.inputs
    rows = slice(*(int(i["cumulative_sequence_length"][sequence]) + at for at in (begin, end)))
    inputs = {name: None if i[name] is None else i[name][rows] for name in ("query", "key", "value", "slot_mapping")}
    inputs |= {
        "cumulative_sequence_length": np.array([0, end - begin], np.int32),
        "past_seqlens": i["past_seqlens"][sequence : sequence + 1] + np.int32(begin),
        "block_table": i["block_table"][sequence : sequence + 1],
    }
    return Case(case.attention, {name: inputs.get(name, value) for name, value in i.items()})


def in_chunks(case: Case, random: np.random.Generator, largest: int, threads: int) -> NDArray[np.float32]:
    """Every sequence by itself, in chunks of up to `largest` tokens, one after another on the case's caches."""
    i, outputs = case.inputs, []
    lengths = np.diff(i["cumulative_sequence_length"])
    for sequence, length in enumerate(lengths):
        begin = 0
        while begin < length:
            end = min(int(length), begin + int(random.integers(1, largest + 1)))
            part = part_of(case, sequence, begin, end)
            outputs.append(OneNode("PagedAttention", part.inputs, part.attributes(), threads).run())
            begin = end
    width = case.attention.v_head_size or i["key_cache"].shape[3]
    return np.concatenate(outputs) if outputs else np.zeros((0, case.attention.num_heads * width), np.float32)


def repaged(case: Case, page_tokens: int) -> Case:
    """The same sequences in pages of another size. Nothing may be dropped and every token has a slot."""
    i = case.inputs
    totals = i["past_seqlens"] + np.diff(i["cumulative_sequence_length"])
    pages = -(-totals // page_tokens)
    table = np.full((len(totals), max(1, pages.max())), -1, np.int32)
    old_size = i["key_cache"].shape[1]
    caches = {
        name: None if i[name] is None else np.zeros((pages.sum(), page_tokens, *i[name].shape[2:]), i[name].dtype)
        for name in ("key_cache", "value_cache")
    }
    for b, total in enumerate(totals):
        table[b, : pages[b]] = pages[:b].sum() + np.arange(pages[b])
        at = np.arange(total)
        for name, cache in caches.items():
            if cache is not None:
                rows = i[name][i["block_table"][b, at // old_size], at % old_size]
                cache[table[b, at // page_tokens], at % page_tokens] = rows
    return Case(case.attention, {**i, **caches, "block_table": table, "slot_mapping": None})


@examples
@given(case=cases(), seed=st.integers(0, 100), largest=st.sampled_from([1, 1, 7, 40]), threads=st.integers(1, 4))
def test_attention_of_a_token_is_the_same_alone_and_in_company(case: Case, seed: int, largest: int, threads: int) -> None:
    """Any batch in one call, against each sequence alone in any chunks: layouts, windows, dropped pages, all alike."""
    if not case.attention.is_causal or case.attention.bidirectional_prefix:
        largest = 10**6  # such a chunk sees itself whole, so it must come whole
    together = attend(case)
    assert same_bits(in_chunks(case, np.random.default_rng(seed), largest, threads), together)


@pytest.mark.parametrize("attention", [LATENT, SEPARATE])
def test_long_contexts_are_cut_where_no_batch_can_move_the_cut(attention: Attention) -> None:
    """A prompt of 700 tokens in one call, beside others, and its last tokens one by one on four threads."""
    width = 576 if attention is LATENT else 64
    case = build(attention, width, [(0, 700), (513, 1), (255, 1), (900, 2)], page_tokens=32, rope_half=32)
    together = attend(case)
    assert same_bits(in_chunks(case, np.random.default_rng(0), 300, 4), together)


@pytest.mark.parametrize("page_tokens", [1, 7, 64, 1000])
@pytest.mark.parametrize("attention", [LATENT, SEPARATE, replace(SEPARATE, local_window_size=70)])
def test_the_size_of_a_page_changes_no_bit(attention: Attention, page_tokens: int) -> None:
    """Pages decide where a key lies, never in which order it is summed."""
    width = 576 if attention.kv_cache_layout == "LATENT" else 64
    case = build(attention, width, [(300, 3), (0, 90), (64, 1)], page_tokens=16, rope_half=32)
    assert same_bits(attend(case), attend(repaged(case, page_tokens)))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=cases())
def test_attention_and_its_cache_have_the_same_bits_in_every_instruction_set(case: Case) -> None:
    results = []
    for name in instruction_sets():
        select_instruction_set(name)
        inputs = case.inputs | {cache: _copy(case.inputs[cache]) for cache in ("key_cache", "value_cache")}
        output = OneNode("PagedAttention", inputs, case.attributes()).run()
        results.append([output, inputs["key_cache"].astype(np.float32)])
    select_instruction_set(instruction_sets()[0])
    for output, keys in results[1:]:
        assert same_bits(output, results[0][0])
        assert same_bits(keys, results[0][1])


def test_these_comparisons_see_another_order_of_sums() -> None:
    """What would be missed by a tolerance is found by comparing bits: blocks folded backwards, and keys one place on."""
    weights, x = matrix(1, 64, 512, 4, 32, "zero_points"), activations(2, 3, 512)
    attributes = {"n": 64, "bits": 4, "block_size": 32}
    assert same_bits(run("Linear", in_order("x", x, weights), {"N": 64, "bits": 4, "block_size": 32}),
                     reference.linear(x, **weights, **attributes))  # fmt: skip
    backwards = {
        "codes": weights["codes"].reshape(4, 16, 4, 16, 4)[:, ::-1].reshape(4, 64, 16, 4).copy(),
        "scales": weights["scales"][:, ::-1].copy(),
        "zero_points": weights["zero_points"][:, ::-1].copy(),
    }
    turned = reference.linear(x.reshape(3, 16, 32)[:, ::-1].reshape(3, 512).copy(), **backwards, **attributes)
    forwards = reference.linear(x, **weights, **attributes)
    assert not same_bits(turned, forwards)
    np.testing.assert_allclose(turned, forwards, rtol=1e-3, atol=1e-3)

    case = build(SEPARATE, 64, [(200, 1)], page_tokens=1)
    one_later = case.inputs | {
        "past_seqlens": np.array([201], np.int32),
        "block_table": np.concatenate([np.full((1, 1), -1, np.int32), case.inputs["block_table"]], axis=1),
    }
    moved = attend(Case(case.attention, one_later))
    assert not same_bits(moved, attend(case))
    np.testing.assert_allclose(moved, attend(case), rtol=1e-3, atol=1e-4)
