"""What belongs to Youtu besides its graph: the pre-tokenizer of its GGUF files, and the script that imitates its size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from export.conftest import ROOT
from export.package_runner import PackageRunner
from tiny_model import make_tokenizer
from youtu_edge.package import open_package
from youtu_export.__main__ import main
from youtu_export.checkpoints.gguf_tokenizer import begins_with_bos, build_tokenizer

_METADATA = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "youtu", "tokenizer.ggml.bos_token_id": 0}


def _tokenizer() -> Tokenizer:
    model = json.loads(make_tokenizer().to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [" ".join(merge) for merge in model["merges"]]
    return build_tokenizer(
        Path("model.gguf"), _METADATA | {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": merges}
    )


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("in 1984", ["in", " ", "1", "9", "8", "4"]),
        ("杜甫 是诗人，生于712年。", ["杜甫", " ", "是诗人", "，", "生于", "7", "1", "2", "年", "。"]),
        ("안녕하세요 世界", ["안녕하세요", " ", "世界"]),
        ("카 カタカナ ㄅㄆ", ["카", " ", "カタカナ", " ", "ㄅㄆ"]),
        ("“it's” HTMLParser", ["“", "it's", "”", " HTMLParser"]),
        ("a/\n/b  c\n\n d", ["a", "/\n/", "b", " ", " c", "\n\n", " d"]),
    ],
)
def test_the_pre_tokenizer_cuts_scripts_and_digits_apart(text: str, pieces: list[str]) -> None:
    """As llama-server's /tokenize does for files that say `youtu`; 26 texts of 4000 characters agreed token by token."""
    cut = _tokenizer().pre_tokenizer.pre_tokenize_str(text)
    assert [text[begin:end] for _, (begin, end) in cut] == pieces


def test_no_start_token_is_put_in_front() -> None:
    """Youtu's template writes it."""
    assert not begins_with_bos(_METADATA)


def test_a_checkpoint_of_its_shape_can_be_made_and_exported(tmp_path: Path, runner_of: type[PackageRunner]) -> None:
    """One layer of the real widths, with a made tokenizer and four bits; the cache row is 576 wide."""
    script = ROOT / "scripts" / "make_youtu_shaped"
    command = [sys.executable, str(script), str(tmp_path / "hf"), "--layers", "1", "--vocab", "512"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / 'hf'}: 54,140,928 parameters\n"
    assert main(["hf", str(tmp_path / "hf"), str(tmp_path / "package"), "--block", "128"]) == 0
    manifest = open_package(tmp_path / "package").manifest
    assert manifest.parameters == 54_140_928
    assert (manifest.cache.layout, manifest.cache.width, manifest.cache.bytes_per_token) == ("LATENT", 576, 1152)
    assert runner_of(tmp_path / "package", 64).logits([1, 2, 3]).shape == (3, 512)
