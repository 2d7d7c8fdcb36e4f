"""Headers of safetensors that do not describe their file."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.refusal import refusal


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
