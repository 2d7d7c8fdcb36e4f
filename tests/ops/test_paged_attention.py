"""PagedAttention against attention_reference.py, in every instruction set of this machine."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from ops.attention_cases import Case, build, cases
from ops.attention_reference import Attention
from ops.operators import OneNode

pytestmark = pytest.mark.usefixtures("instruction_set")

LATENT = Attention(16, 1, scale=192**-0.5, kv_cache_layout="LATENT", v_head_size=512, rotary_offset=512)


def check(case: Case) -> None:
    """Output and both caches equal the reference; slots that were not written keep their bits."""
    expected, keys, values = case.reference()
    output = OneNode("PagedAttention", case.inputs, case.attributes()).run()
    np.testing.assert_allclose(output, expected, rtol=2e-3, atol=2e-4)
    step = 2e-3 if keys.dtype == np.float16 else 1e-5  # a rotated key may round to the neighbouring float16
    np.testing.assert_allclose(case.inputs["key_cache"], keys, rtol=step, atol=step)
    if values is not None:
        np.testing.assert_array_equal(case.inputs["value_cache"], values)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=cases())
def test_any_call_matches_the_reference(case: Case) -> None:
    """For any mix of layout, lengths, pages, window, rotary and cache type, the result equals the reference."""
    check(case)


@pytest.mark.parametrize("past", [0, 63, 700, 2047])
def test_long_decode_is_split_and_merged(past: int) -> None:
    """One new token over a long cache is cut along the keys for the threads, and the parts join without a trace."""
    check(build(LATENT, 576, [(past, 1)], rope_half=32, page_tokens=64))


def test_chunked_prefill_of_a_long_prompt() -> None:
    """A chunk of many tokens on top of an earlier chunk sees the earlier one whole and itself causally."""
    check(build(Attention(9, 3), 64, [(100, 90), (0, 130)], rope_half=32))


def test_decode_and_prefill_share_one_step() -> None:
    """Decoding sequences and a prefill chunk in one call do not see each other."""
    check(build(LATENT, 576, [(300, 1), (0, 40), (17, 1), (5, 3)], rope_half=32, page_tokens=32))


def test_float_cache_is_accurate() -> None:
    """With a float cache the result is good to 1e-5, which the f32 recipe relies on."""
    case = build(Attention(8, 2), 128, [(500, 1), (20, 17)], rope_half=64, cache_type=np.float32)
    expected, _, _ = case.reference()
    output = OneNode("PagedAttention", case.inputs, case.attributes()).run()
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


def test_query_that_sees_nothing_yields_zeros() -> None:
    """When every page is dropped there are no visible keys, and the output is zero, not NaN."""
    case = build(Attention(4, 2), 64, [(40, 2)], dropped=1.1)
    assert not OneNode("PagedAttention", case.inputs, case.attributes()).run().any()


def test_sequences_share_the_keys_of_one_step() -> None:
    """A key written in this step is visible to another sequence of the same step whose table names its page."""
    case = build(Attention(2, 1), 64, [(0, 16), (16, 1)])
    case.inputs["block_table"][1, 0] = case.inputs["block_table"][0, 0]
    check(case)


def test_keys_out_of_sight_are_never_read() -> None:
    """Slots after the last token and before the window may hold anything, even not-a-number."""
    case = build(Attention(4, 2, local_window_size=20), 64, [(90, 1)])
    clean = OneNode("PagedAttention", {k: None if v is None else v.copy() for k, v in case.inputs.items()},
                    case.attributes()).run()  # fmt: skip
    table = case.inputs["block_table"][0]
    for cache in (case.inputs["key_cache"], case.inputs["value_cache"]):
        cache[table[5], 91 - 80 :] = np.nan
        cache[table[:4]] = np.nan
    np.testing.assert_array_equal(OneNode("PagedAttention", case.inputs, case.attributes()).run(), clean)


def test_large_scores_do_not_overflow() -> None:
    """Scores of several hundred, as phi-2 has them, stay finite through the running maximum."""
    check(build(Attention(4, 4, scale=30.0), 64, [(200, 3)], cache_type=np.float32))


def test_step_without_tokens_is_empty() -> None:
    """A call whose sequences bring no token returns an empty tensor and touches nothing."""
    check(build(Attention(4, 2), 64, [(5, 0)]))
