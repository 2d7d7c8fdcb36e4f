"""Files that declare more data than they have, or are far too large, cost neither memory nor time."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from export.bounded_run import run_command
from export.fuzzed_readers import DEADLINE_S, fault
from export.gguf_parts import text
from export.small_gguf import random_tensors, write_gguf
from tiny_model import make_tiny_checkpoint

MIB = 1 << 20


def _sparse_gguf(directory: Path) -> str:
    """A file of 200 GB that declares an array of 10^8 numbers and contains all of them."""
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
    keys = b"".join(text(f"k{index}") + struct.pack("<II", 4, 0) for index in range(300_000))
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
    """Sparse files of any size take no disk space."""
    (tmp_path / "source").mkdir()
    source = make(tmp_path / "source")
    kind = "gguf" if source.endswith(".gguf") else "hf"
    argv = [sys.executable, "-m", "youtu_export", kind, source, str(tmp_path / "out"), "--no-golden"]
    ended = run_command(argv, DEADLINE_S)
    assert fault(ended, tmp_path / "source", 1) == "", (ended.stderr[-2000:], ended.rss_bytes, ended.seconds)
