"""Metadata and headers of GGUF files that do not describe a model or their file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.gguf_parts import GgufParts
from export.refusal import refusal
from export.small_gguf import random_tensors, write_gguf


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"llama.block_count": 10**8}, "num_hidden_layers: 100000000 layers, but there are only 11 tensors"),
        (
            {"llama.feed_forward_length": 10**8},
            "intermediate_size: 100000000 exceeds every side of every tensor",
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
        ({"tokenizer.ggml.unknown_token_id": 99999}, "tokenizer.ggml.unknown_token_id: 99999 is not one of the 276 tokens"),
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
        (lambda parts: parts.keys.append(parts.keys[0]), "general.architecture: occurs twice"),
        (lambda parts: parts.tensors.append(parts.tensors[0]), "two tensors have this name"),
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
