"""What the operators refuse: each with a message that names the input and the fault, and nothing written."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import youtu_edge.ops
from ops.attention_cases import Case, build
from ops.operators import PAGED_ATTENTION_INPUTS, OneNode, run
from ops.reference import Attention


def base() -> Case:
    return build(Attention(4, 2), 64, [(20, 3), (0, 2)], rope_half=32)


def put(name: str, index: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(inputs: dict[str, Any]) -> None:
        inputs[name][index] = value

    return change


def replace(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda inputs: inputs.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("slot_mapping", 1, 99999), "slot_mapping of token 1 is 99999, the cache has"),
        (put("slot_mapping", 1, -2), "slot_mapping of token 1 is -2"),
        (put("cumulative_sequence_length", 1, 9), "cumulative_sequence_length falls from 9 to 5"),
        (put("cumulative_sequence_length", 0, 1), "must run from 0 to the number of tokens, 5"),
        (put("cumulative_sequence_length", 2, 4), "must run from 0 to the number of tokens, 5"),
        (put("past_seqlens", 0, -1), "past_seqlens of sequence 0 is -1"),
        (put("past_seqlens", 0, 30), "sequence 0 reaches position 32, but cos_cache has 23 positions"),
        (put("past_seqlens", 0, 2**31 - 1), "sequence 0 reaches position"),
        (put("block_table", (0, 1), 77), "block_table of sequence 0 names page 77, the cache has"),
        (put("block_table", (1, 0), -5), "block_table of sequence 1 names page -5"),
        (replace("block_table", np.zeros((2, 1), np.int32)), "sequence 0 needs 2 pages, the table has 1"),
        (replace("block_table", np.zeros((3, 2), np.int32)), r"block_table has shape \[3, 2\]"),
        (replace("past_seqlens", np.zeros(1, np.int32)), r"cumulative_sequence_length has shape \[3\], expected \[2\]"),
        (replace("slot_mapping", np.zeros(4, np.int32)), r"slot_mapping has shape \[4\], expected \[5\]"),
        (replace("query", np.zeros((5, 255), np.float32)), r"query has shape \[5, 255\], expected \[tokens, 256\]"),
        (replace("key", np.zeros((5, 64), np.float32)), r"key has shape \[5, 64\], expected \[5, 128\]"),
        (replace("key", np.zeros((4, 128), np.float32)), r"key has shape \[4, 128\]"),
        (replace("value", None), "value is required"),
        (replace("value_cache", None), "value_cache is required"),
        (replace("value_cache", np.zeros((1, 16, 2, 64), np.float16)), "value_cache .* must have the type and shape"),
        (replace("key_cache", np.zeros((2, 16, 3, 64), np.float16)), "key_cache has shape .* expected"),
        (replace("key_cache", np.zeros((2, 16, 2, 64), np.int8)), "key_cache is a tensor of int8, expected float or"),
        (replace("key_cache", np.zeros((2, 16, 64), np.float16)), "key_cache has 3 dimensions, expected 4"),
        (replace("cos_cache", None), "cos_cache .* is required"),
        (replace("sin_cache", np.zeros((3, 32), np.float32)), "cos_cache .* and sin_cache .* differ"),
    ],
)
def test_bad_inputs_are_named_and_nothing_is_written(change: Callable[[dict[str, Any]], None], message: str) -> None:
    """A call with inconsistent inputs fails as invalid, names the fault, and leaves the cache as it was."""
    case = base()
    change(case.inputs)
    before = case.inputs["key_cache"].copy()
    node = OneNode("PagedAttention", case.inputs, case.attributes())
    with pytest.raises(Exception, match=f"youtu_edge.PagedAttention: .*{message}"):
        node.run()
    np.testing.assert_array_equal(case.inputs["key_cache"], before)


@pytest.mark.parametrize("name", PAGED_ATTENTION_INPUTS[11:16])
def test_inputs_of_the_cuda_operator_that_we_lack_are_refused_by_name(name: str) -> None:
    """A graph that needs more than this kernel has must not run without it."""
    case = base()
    inputs = {n: case.inputs.get(n) for n in PAGED_ATTENTION_INPUTS} | {name: np.ones(64, np.float32)}
    with pytest.raises(Exception, match=f"{name} is not supported"):
        OneNode("PagedAttention", inputs, case.attributes()).run()


def test_attention_metadata_is_accepted() -> None:
    """The bounds that a GPU needs change nothing."""
    case, plain = base(), base()
    inputs = {n: case.inputs.get(n) for n in PAGED_ATTENTION_INPUTS}
    inputs["attention_metadata"] = np.array([3, 23, 2], np.int32)
    with_bounds = OneNode("PagedAttention", inputs, case.attributes()).run()
    np.testing.assert_array_equal(with_bounds, OneNode("PagedAttention", plain.inputs, plain.attributes()).run())


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"kv_cache_layout": "SIDEWAYS"}, "kv_cache_layout is 'SIDEWAYS', expected SEPARATE or LATENT"),
        ({"kv_cache_layout": "LATENT"}, "kv_num_heads must be 1"),
        ({"num_heads": 3}, "num_heads 3 is not a multiple of kv_num_heads 2"),
        ({"num_heads": 0}, "num_heads is 0, expected 1"),
        ({"local_window_size": 0}, "local_window_size is 0"),
        ({"softcap": -1.0}, "softcap must not be negative"),
        ({"k_quant_type": "PER_TENSOR"}, "k_quant_type is not supported"),
        ({"k_cache_dtype": "int4"}, "k_cache_dtype 'int4' is not supported"),
        ({"rotary_offset": 8}, r"rotary channels \[8, 72\) lie outside the head width 64"),
        ({"v_head_size": 32}, "v_head_size 32 does not fit a cache row of 64"),
    ],
)
def test_bad_attributes_are_named(attributes: dict[str, Any], message: str) -> None:
    """An attribute outside its range is refused when the session is made, or at the latest by the first call."""
    case = base()
    with pytest.raises(Exception, match=message):
        OneNode("PagedAttention", case.inputs, case.attributes() | attributes).run()


def test_latent_needs_an_explicit_scale_when_values_are_narrower() -> None:
    """The width of an absorbed row says nothing about the width before absorption, so no scale is guessed."""
    case = build(Attention(4, 1, kv_cache_layout="LATENT", v_head_size=32), 64, [(3, 1)])
    with pytest.raises(Exception, match="scale is required when v_head_size differs"):
        OneNode("PagedAttention", case.inputs, case.attributes()).run()


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "message"),
    [
        ("SwiGLU", [np.zeros((1, 3), np.float32)], {}, "expected an even width"),
        ("BlockMinAdd", [np.zeros((1, 33), np.float32), np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float16)],
         {}, "not a multiple of block_size 32"),
        ("BlockMinAdd", [np.zeros((1, 64), np.float32), np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float16)],
         {}, "do not fit"),
        ("HeadwiseMatMul", [np.zeros((1, 30), np.float32), np.zeros((2, 4, 16), np.int8), np.ones((2, 4), np.float32)],
         {}, r"x has shape \[1, 30\], expected \[T, 32\]"),
        ("HeadwiseMatMul", [np.zeros((1, 32), np.float32), np.zeros((2, 4, 16), np.int8), np.ones((2, 3), np.float32)],
         {}, "do not fit weight"),
        ("HeadwiseMatMul", [np.zeros((1, 32), np.float32), np.zeros((2, 4, 16), np.int8), np.ones((2, 4), np.float32)],
         {"block_size": 8}, "block_size must be 0 or a multiple of 16"),
    ],
)  # fmt: skip
def test_small_operators_refuse_shapes_that_do_not_fit(
    operator: str, inputs: list[Any], attributes: dict[str, Any], message: str
) -> None:
    """Widths that do not belong together are refused by name and shape."""
    with pytest.raises(Exception, match=message):
        run(operator, {f"input{i}": array for i, array in enumerate(inputs)}, attributes)


def test_missing_library_tells_how_to_build_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """library_path() of an unbuilt checkout names the commands."""
    monkeypatch.setattr(youtu_edge.ops, "LIBRARY_NAME", "not_built.so")
    with pytest.raises(FileNotFoundError, match="cmake -S"):
        youtu_edge.ops.library_path()
