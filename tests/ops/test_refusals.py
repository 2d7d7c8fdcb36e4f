"""What the operators reject, with a message that names the input and the fault, and before anything is written."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import youtu_edge.ops
from ops.attention_cases import Case, build
from ops.attention_reference import Attention
from ops.operators import PAGED_ATTENTION_INPUTS, OneNode


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
        (replace("key_cache", np.zeros((2, 16, 2, 64), np.uint8)), "key_cache is a tensor of uint8, expected float or"),
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


def linear(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and attributes of a small Linear with changes applied; None removes an input."""
    inputs: dict[str, Any] = {
        "x": np.zeros((1, 64), np.float32),
        "codes": np.zeros((2, 8, 16, 4), np.uint8),
        "scales": np.ones((2, 2, 16), np.float16),
        "zero_points": None,
        "minimums": None,
    }
    attributes = {"N": 20, "bits": 4, "block_size": 32}
    for name, value in changes.items():
        (inputs if name in inputs else attributes)[name] = value
    return inputs, attributes


def scales(*wrong: float) -> Any:
    values = np.ones((2, 2, 16), np.float16)
    values.reshape(-1)[5 : 5 + len(wrong)] = wrong
    return values


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": np.zeros((1, 8, 16, 4), np.uint8)}, r"codes has shape \[1, 8, 16, 4\], expected \[2, 8, 16, 4\]"),
        ({"codes": np.zeros((2, 8, 8, 4), np.uint8)}, r"codes has shape \[2, 8, 8, 4\], expected \[2, 8, 16, 4\]"),
        ({"codes": np.zeros((2, 8, 64), np.uint8)}, "codes has 3 dimensions, expected 4"),
        ({"codes": np.zeros((2, 6, 16, 4), np.uint8)}, "rows of 48 values do not divide into blocks of 32"),
        ({"codes": np.zeros((2, 0, 16, 4), np.uint8)}, "rows of 0 values"),
        ({"scales": np.ones((2, 1, 16), np.float16)}, r"scales has shape \[2, 1, 16\], expected \[2, 2, 16\]"),
        ({"scales": scales(np.nan)}, "scales: 1 scales are NaN or infinite; export the model again"),
        ({"scales": scales(np.inf, -np.inf)}, "scales: 2 scales are NaN or infinite"),
        ({"minimums": scales(np.nan)}, "minimums: 1 minimums are NaN or infinite"),
        ({"zero_points": np.zeros((2, 2, 8), np.uint8)}, r"zero_points has shape \[2, 2, 8\]"),
        ({"zero_points": np.zeros((2, 2, 16), np.uint8), "minimums": scales()}, "exclude each other"),
        ({"N": 0}, "attribute N is 0"),
        ({"bits": 5}, "bits is 5, expected 4 or 8"),
        ({"block_size": 48}, "block_size is 48, expected 16, 32, 64, 128 or 256"),
        ({"heads": 2}, r"codes has shape \[2, 8, 16, 4\], expected \[4, 8, 16, 4\]"),
    ],
)
@pytest.mark.parametrize("operator", ["Linear", "Embedding"])
def test_a_wrong_matrix_is_refused_by_name_when_the_session_is_made(
    operator: str, changes: dict[str, Any], message: str
) -> None:
    """Shapes, attributes and numbers that cannot be right end the loading; nothing is computed."""
    inputs, attributes = linear(**changes)
    if operator == "Embedding":
        inputs = {"ids": np.zeros(1, np.int64)} | {name: value for name, value in inputs.items() if name != "x"}
    with pytest.raises(Exception, match=f"youtu_edge.{operator}: .*{message}"):
        OneNode(operator, inputs, attributes)


def test_weights_that_are_no_initializers_are_refused() -> None:
    """What is checked once must not change afterwards."""
    inputs, attributes = linear()
    with pytest.raises(Exception, match="codes must be an initializer"):
        OneNode("Linear", inputs, attributes, constants=())


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "message"),
    [
        ("SwiGLU", {"x": np.zeros((1, 3), np.float32)}, {}, "expected an even width"),
        ("GeGLU", {"x": np.zeros((1, 3), np.float32)}, {}, "expected an even width"),
        ("Linear", linear(x=np.zeros((1, 30), np.float32))[0], linear()[1], r"x has shape \[1, 30\], expected \[T, 64\]"),
        ("RmsNorm", {"x": np.zeros((1, 30), np.float32), "gain": np.ones(31, np.float32)}, {}, r"expected \[T, 31\]"),
        ("RmsNorm", {"x": np.zeros((1, 30), np.float32), "gain": np.ones(30, np.float32)}, {"epsilon": -1.0}, "epsilon"),
        ("RmsNorm", {"x": np.zeros((1, 2), np.float32), "gain": np.float32([1, np.nan])}, {}, "gain has a NaN"),
        ("AddRmsNorm",
         {"x": np.zeros((2, 3), np.float32), "residual": np.zeros((1, 3), np.float32), "gain": np.ones(3, np.float32)},
         {}, "and residual .* differ"),
    ],
)  # fmt: skip
def test_activations_that_do_not_fit_are_refused(
    operator: str, inputs: dict[str, Any], attributes: dict[str, Any], message: str
) -> None:
    """Widths that do not belong together are refused by name and shape."""
    with pytest.raises(Exception, match=message):
        OneNode(operator, inputs, attributes, outputs=2 if operator == "AddRmsNorm" else 1).run()


def test_missing_library_tells_how_to_build_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """library_path() of an unbuilt checkout names the commands."""
    monkeypatch.setattr(youtu_edge.ops, "LIBRARY_NAME", "not_built.so")
    with pytest.raises(FileNotFoundError, match="cmake -S"):
        youtu_edge.ops.library_path()
