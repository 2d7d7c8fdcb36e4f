"""Malformed input ends in one line that names the file, within 10 s and 500 MB, and never in a traceback."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export import small_families
from export.bounded_run import run_command
from export.fuzzed_readers import DEADLINE_S, READERS, fault
from export.gguf_parts import GgufParts, text
from export.refusal import refusal
from export.small_gguf import random_tensors, write_gguf
from tiny_model import make_tiny_checkpoint
from youtu_edge.errors import one_line

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
_U32 = struct.Struct("<I")


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_end_in_one_line(reader: str) -> None:
    """Structural and random damage to small files of every kind; scripts/fuzz_readers does the same for longer."""
    script = [str(ROOT / "scripts" / "fuzz_readers"), "--reader", reader, "--cases", "100", "--seed", "1", "--no-golden"]
    done = subprocess.run([sys.executable, *script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "checkpoint").mkdir()
    return make_tiny_checkpoint(tmp_path / "checkpoint")


def _change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"model_type": "llama", "model_type": "llama"}', "the key 'model_type' stands twice"),
        ('{"rms_norm_eps": NaN}', "NaN is not a number of JSON"),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", "nested deeper than 64"),
        ("[" * 100_000, "nested deeper than 64"),
        ('{"a": [' + "0," * 1_000_000 + "0]}", "more than 1000000 values"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
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
        ("config.json", {"head_dim": 15}, "15 values of each head would be rotated, and they are rotated in pairs"),
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
    if not path.exists():
        path.write_text("{}")
    _change(path, **changes)
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
    _change(checkpoint / "config.json", **{key: value})
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
    _change(checkpoint / "tokenizer.json", padding=padding, truncation=truncation)
    assert main(["hf", str(checkpoint), str(tmp_path / "package")]) == 0
    written = json.loads((tmp_path / "package" / "tokenizer.json").read_text())
    assert written["padding"] is None
    assert written["truncation"] is None


def _entry(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        header["model.norm.weight"] |= changes

    return change


def _overlap(header: dict[str, Any]) -> None:
    norms = [entry for name, entry in header.items() if name.endswith("layernorm.weight")]
    norms[0]["data_offsets"] = norms[1]["data_offsets"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_entry(shape=["a"]), "model.norm.weight: damaged header: shape[0]: Expected `int`, got `str`"),
        (_entry(shape=64), "damaged header: shape: Expected `array`, got `int`"),
        (_entry(shape=[-64]), "damaged header: shape[0]: Expected `int` >= 0"),
        (_entry(shape=[2**63, 2**63]), "damaged header: shape[0]: Expected `int`"),
        (_entry(shape=[64.0]), "damaged header: shape[0]: Expected `int`, got `float`"),
        (_entry(dtype=["F32"]), "damaged header: dtype: Expected `str`, got `array`"),
        (_entry(data_offsets=[0]), "damaged header: data_offsets: Expected `array` of length 2"),
        (_entry(data_offsets=[-256, 0]), "damaged header: data_offsets[0]: Expected `int` >= 0"),
        (_entry(data_offsets=[10**9, 10**9 + 256]), "model.norm.weight: the file ends before this tensor does"),
        (_entry(data_offsets=[0, 257]), "257 bytes do not make shape [64] of F32"),
        (_entry(stride=1), "damaged header: Object contains unknown field `stride`"),
        (_overlap, "overlaps model.layers."),
        (lambda header: header.update(a=7), "a: damaged header: Expected `object`, got `int`"),
    ],
)
def test_a_safetensors_header_is_compared_with_its_file(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], None],
    message: str,
) -> None:
    path = checkpoint / "model.safetensors"
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    written = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(written)) + written + data[8 + length :])
    assert message in refusal(capsys, tmp_path, "hf", str(checkpoint))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"llama.block_count": 10**8}, "num_hidden_layers: 100000000 layers, but there are only 11 tensors"),
        (
            {"llama.feed_forward_length": 10**8},
            "intermediate_size: 100000000 is more than any side of any tensor",
        ),
        ({"llama.attention.head_count": [4]}, "num_attention_heads: [4] is not a positive integer"),
        ({"llama.rope.freq_base": "high"}, "rope_theta: 'high' is not a positive number"),
        ({"llama.rope.scaling.type": ["yarn"]}, "type ['yarn'] is not supported"),
        ({"tokenizer.ggml.tokens": [1, 2]}, "tokenizer.ggml.tokens[0]: Expected `str`, got `int`"),
        ({"tokenizer.ggml.tokens": "abc"}, "tokenizer.ggml.tokens: Expected `array`, got `str`"),
        ({"tokenizer.ggml.token_type": ["a"]}, "tokenizer.ggml.token_type[0]: Expected `int`"),
        ({"tokenizer.ggml.merges": [1]}, "tokenizer.ggml.merges[0]: Expected `str`"),
        ({"tokenizer.ggml.eos_token_id": "2"}, "tokenizer.ggml.eos_token_id: Expected `int | null`, got `str`"),
        ({"tokenizer.ggml.add_bos_token": "no"}, "tokenizer.ggml.add_bos_token: Expected `bool | null`"),
        ({"tokenizer.ggml.unknown_token_id": 99999}, "tokenizer.ggml.unknown_token_id: 99999 is none of the 276 tokens"),
        ({"tokenizer.ggml.tokens": ["x" * 5000]}, "tokenizer.ggml.tokens[0]: Expected `str` of length <= 2048"),
        ({"tokenizer.chat_template": 7}, "tokenizer.chat_template: Expected `str | null`"),
        ({"general.alignment": 0}, "general.alignment: 0 is not a positive integer"),
        ({"general.sampling.temp": 9.5}, "temperature: Expected `float` <= 2"),
    ],
)
def test_metadata_of_the_wrong_type_or_size_is_named(
    metadata: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_gguf(tmp_path / "model.gguf", random_tensors(), metadata=metadata)
    line = refusal(capsys, tmp_path, "gguf", str(path))
    assert line.startswith(f"youtu-export: {path}: ")
    assert message in line


def _tensor(dims: list[int], kind: int = 0, offset: int = 0) -> Callable[[GgufParts], None]:
    def change(parts: GgufParts) -> None:
        parts.tensors[0] = (parts.tensors[0][0], dims, kind, offset)

    return change


def _key(kind: int, value: bytes) -> Callable[[GgufParts], None]:
    return lambda parts: parts.keys.insert(1, ("new.key", kind, value))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: setattr(parts, "counts", (10, 10**8)), "the file ends inside its header"),
        (lambda parts: setattr(parts, "counts", (2**63, 1)), "the file ends inside its header"),
        (_key(9, struct.pack("<IQ", 4, 10**8)), "the file ends inside its header"),
        (_key(9, struct.pack("<IQ", 8, 2**63)), "the file ends inside its header"),
        (_key(9, struct.pack("<IQ", 9, 1)), "new.key: arrays of metadata type 9 are not supported"),
        (_key(8, struct.pack("<Q", 2**62)), "the file ends inside its header"),
        (_key(77, b""), "new.key: unknown metadata type 77"),
        (lambda parts: parts.keys.append(parts.keys[0]), "general.architecture: stands twice"),
        (lambda parts: parts.tensors.append(parts.tensors[0]), "there are two tensors of this name"),
        (_tensor([64, 2**40]), "sides have 1 to 4194304 elements"),
        (_tensor([0, 276]), "sides have 1 to 4194304 elements"),
        (_tensor([64, 276], offset=2**63), "the file ends before this tensor does"),
        (_tensor([64, 276], offset=64), "overlaps"),
        (_tensor([64], kind=8), "rows of 1 values do not divide into blocks of 32"),
        (_tensor([64, 276], kind=4), "4 is not a valid"),
    ],
)
def test_a_gguf_header_is_compared_with_its_file(
    change: Callable[[GgufParts], None], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_gguf(tmp_path / "model.gguf", random_tensors())
    parts = GgufParts.read(path.read_bytes())
    change(parts)
    path.write_bytes(parts.write())
    assert message in refusal(capsys, tmp_path, "gguf", str(path))


def test_names_are_shown_and_do_nothing_to_a_terminal(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tensors, keys of metadata and of JSON; a name of any length leaves one line of readable length."""
    odd = "\x1b]0;title\x07line\nbreak\u202e"
    path = checkpoint / "model.safetensors"
    tensors = load_file(path)
    for name in (odd, "x" * 50_000):
        save_file(tensors | {name: np.ones(3, np.float32)}, path)
        line = refusal(capsys, tmp_path, "hf", str(checkpoint))
        assert line.isprintable()
        assert len(line) < 1100
        assert r"\x1b]0;title\x07line\nbreak\u202e" in line or name != odd
    save_file(tensors, path)
    _change(checkpoint / "config.json", **{odd: 1})
    assert refusal(capsys, tmp_path, "hf", str(checkpoint)).isprintable()
    gguf = write_gguf(tmp_path / "model.gguf", random_tensors(), metadata={f"llama.{odd}": 1})
    assert r"\x1b]0;title" in refusal(capsys, tmp_path, "gguf", str(gguf))


def test_a_line_of_an_error_is_escaped_and_bounded() -> None:
    assert one_line("a\tb\x7f\u2028中文 é") == r"a\tb\x7f\u2028中文 é"
    assert one_line("x" * 2000) == "x" * 1000 + " … (2000 characters)"


def _sparse_gguf(directory: Path) -> str:
    """A file of 200 GB that promises an array of 10^8 numbers, all of which it has."""
    path = directory / "model.gguf"
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("general.architecture") + struct.pack("<IIQ", 9, 4, 10**8)
    path.write_bytes(head)
    os.truncate(path, 200 << 30)
    return str(path)


def _sparse_strings(directory: Path) -> str:
    path = directory / "model.gguf"
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("general.architecture") + struct.pack("<IIQ", 9, 8, 10**8)
    path.write_bytes(head)
    os.truncate(path, 200 << 30)
    return str(path)


def _many_keys(directory: Path) -> str:
    path = directory / "model.gguf"
    keys = b"".join(text(f"k{index}") + _U32.pack(4) + _U32.pack(0) for index in range(300_000))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 300_000) + keys)
    return str(path)


def _many_tokens(directory: Path) -> str:
    tokens = [f"{index:x}" for index in range(490_000)]
    metadata = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": None, "tokenizer.ggml.merges": []}
    return str(write_gguf(directory / "model.gguf", random_tensors(), metadata=metadata))


def _many_merges(directory: Path) -> str:
    metadata = {"tokenizer.ggml.merges": ["t h"] * 1_000_000}
    return str(write_gguf(directory / "model.gguf", random_tensors(), metadata=metadata))


def _large_file(name: str, size: int) -> Callable[[Path], str]:
    def make(directory: Path) -> str:
        make_tiny_checkpoint(directory)
        os.truncate(directory / name, size)
        return str(directory)

    return make


def _large_header(directory: Path) -> str:
    _large_file("model.safetensors", 64 << 30)(directory)
    with (directory / "model.safetensors").open("r+b") as file:
        file.write(struct.pack("<Q", 8 << 30))
    return str(directory)


def _large_tokenizer(entry: str) -> Callable[[Path], str]:
    def make(directory: Path) -> str:
        make_tiny_checkpoint(directory)
        path = directory / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        tokenizer["added_tokens"] = "@many@"
        many = ", ".join([entry] * (38 * MIB // (len(entry) + 2)))
        path.write_text(json.dumps(tokenizer).replace('"@many@"', f"[{many}]"), encoding="utf-8")
        return str(directory)

    return make


def _fifo(name: str) -> Callable[[Path], str]:
    def make(directory: Path) -> str:
        make_tiny_checkpoint(directory)
        (directory / name).unlink(missing_ok=True)
        os.mkfifo(directory / name)
        return str(directory)

    return make


@pytest.mark.parametrize(
    "make",
    [
        _sparse_gguf, _sparse_strings, _many_keys, _many_tokens, _many_merges, _large_header,
        _large_file("config.json", 1 << 30), _large_file("tokenizer.json", 1 << 30),
        _large_tokenizer('{"id":0,"content":"a","special":true,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false}'),
        _large_tokenizer("[[]]"), _large_tokenizer('"\U0001f600"'),
        _fifo("config.json"), _fifo("model.safetensors"), _fifo("tokenizer.json"), _fifo("generation_config.json"),
    ],
    ids=[
        "array", "strings", "keys", "tokens", "merges", "header", "config", "tokenizer", "added", "lists", "wide text",
        "fifo config", "fifo weights", "fifo tokenizer", "fifo generation",
    ],
)  # fmt: skip
def test_large_promises_and_files_cost_neither_memory_nor_time(make: Callable[[Path], str], tmp_path: Path) -> None:
    """Sparse files are as large as they want to be and cost nobody anything."""
    (tmp_path / "source").mkdir()
    source = make(tmp_path / "source")
    kind = "gguf" if source.endswith(".gguf") else "hf"
    argv = [sys.executable, "-m", "youtu_export", kind, source, str(tmp_path / "out"), "--no-golden"]
    ended = run_command(argv, DEADLINE_S)
    assert fault(ended, tmp_path / "source", 1) == "", (ended.stderr[-2000:], ended.rss_bytes, ended.seconds)
