"""JSON files of a checkpoint: bounds, types, ranges and sizes are checked before anything is computed with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export import small_families
from export.changed_files import change
from export.refusal import refusal


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"model_type": "llama", "model_type": "llama"}', "the key 'model_type' occurs twice"),
        ('{"rms_norm_eps": NaN}', "NaN is not a JSON number"),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", "nested deeper than 64"),
        ("[" * 100_000, "nested deeper than 64"),
        ('{"a": [' + "0," * 1_000_000 + "0]}", "more than 1000000 values"),
        ('{"a": "\\ud800"}', "a lone surrogate"),
        ("[]", "not a JSON object"),
        ('{"a": 1' + "0" * 5000 + "}", "not valid JSON"),
        ("\ufeff{}", "not valid JSON"),
    ],
)
def test_json_has_bounds(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    """In every file that is read: the first of them, and one that may be absent."""
    for name in ("config.json", "generation_config.json"):
        path = checkpoint / name
        former = path.read_text() if path.exists() else "{}"
        path.write_text(content)
        line = refusal(capsys, tmp_path, "hf", str(checkpoint))
        assert line.startswith(f"youtu-export: {path}: ")
        assert message in line
        path.write_text(former)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("tokenizer_config.json", {"bos_token": {"text": "<s>"}}, "bos_token: Object missing required field `content`"),
        ("tokenizer_config.json", {"add_bos_token": "yes"}, "add_bos_token: Expected `bool | null`"),
        ("generation_config.json", {"eos_token_id": {"id": 2}}, "eos_token_id: Expected"),
        ("generation_config.json", {"temperature": "warm"}, "temperature: Expected `float | null`, got `str`"),
        ("generation_config.json", {"temperature": 7.5}, "temperature: Expected `float` <= 2"),
        ("special_tokens_map.json", {"eos_token": [1]}, "eos_token: Expected"),
        ("model.safetensors.index.json", {"weight_map": {"a": 1}}, "weight_map[...]: Expected `str`, got `int`"),
        ("config.json", {"quantization_config": [1]}, "quantization_config: Expected `object | null`"),
        ("config.json", {"quantization_config": {"quant_method": ["awq"]}}, "quant_method: Expected `str`"),
        (
            "config.json",
            {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": 4}}}},
            "config_groups[...].weights: Expected",
        ),
        ("config.json", {"model_type": ["llama"]}, "model_type: Expected `str | null`, got `array`"),
        ("config.json", {"rope_parameters": 7}, "rope_parameters: 7 is not an object"),
        ("config.json", {"tie_word_embeddings": "false"}, "tie_word_embeddings: 'false' is not true or false"),
        ("config.json", {"rms_norm_eps": 1e300}, "rms_norm_eps: 1e+300 is not a positive number"),
        ("config.json", {"num_key_value_heads": 3}, "4 query heads do not divide into groups for 3 key heads"),
        ("config.json", {"head_dim": 15}, "15 values of each head would be rotated, but they are rotated in pairs"),
        ("config.json", {"rope_parameters": {"rope_theta": 0.5}}, "rope_theta: 0.5 is not above 1"),
        (
            "config.json",
            {
                "rope_parameters": {
                    "rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 4.0,
                    "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
                }
            },
            "high_freq_factor: 4.0 is not above low_freq_factor",
        ),
        ("tokenizer.json", {"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}, "vocab[...]: Expected `int` >= 0"),
        ("tokenizer.json", {"added_tokens": [{"id": 2**32, "content": "x"}]}, "added_tokens[0].id: Expected `int`"),
        ("tokenizer.json", {"added_tokens": {}}, "added_tokens: Expected `array`"),
        ("tokenizer.json", {"model": None}, "model: Expected `object`"),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_or_range_is_named(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, changes: dict[str, Any], message: str
) -> None:
    """Of each file, before anything is computed with it."""
    path = checkpoint / name
    change(path, **changes)
    line = refusal(capsys, tmp_path, "hf", str(checkpoint))
    assert line.startswith(f"youtu-export: {path}: ")
    assert message in line


SIZES = [
    "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim",
    "vocab_size",
]  # fmt: skip


@pytest.mark.parametrize("value", [10**8, 2**31, 10**30])
@pytest.mark.parametrize("key", SIZES)
def test_a_size_that_no_tensor_has_is_refused_before_anything_is_made_of_it(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: int
) -> None:
    """Loops over layers and arrays of a head's width come later."""
    change(checkpoint / "config.json", **{key: value})
    assert f"config.json: {key}: {value} " in refusal(capsys, tmp_path, "hf", str(checkpoint))


@pytest.mark.parametrize("family", ["youtu", "phi", "chatglm"])
def test_the_sizes_of_every_family_are_compared_with_its_tensors(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_families.CONFIGS[family]
    source = small_families.write_checkpoint(tmp_path / "source", config, small_families.random_tensors(config))
    inert = ("max_position_embeddings", "seq_length", "eos_token_id", "head_dim", "qk_head_dim", "rope_ratio")
    for key in [key for key, value in config.items() if type(value) is int and key not in inert]:
        (source / "config.json").write_text(json.dumps(config | {key: 10**8}))
        assert f"config.json: {key}: 100000000 " in refusal(capsys, tmp_path, "hf", str(source))


def test_padding_and_truncation_do_not_reach_the_package(checkpoint: Path, tmp_path: Path) -> None:
    """Every prompt would be filled up, to a length that no memory has, or cut."""
    from youtu_export.__main__ import main

    padding = {
        "strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "x",
    }  # fmt: skip
    truncation = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    change(checkpoint / "tokenizer.json", padding=padding, truncation=truncation)
    assert main(["hf", str(checkpoint), str(tmp_path / "package")]) == 0
    written = json.loads((tmp_path / "package" / "tokenizer.json").read_text())
    assert written["padding"] is None
    assert written["truncation"] is None
