"""Malformed input ends in one line that names the file, within 10 s and 500 MB, and never in a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.changed_files import change
from export.fuzzed_readers import READERS
from export.refusal import refusal
from export.small_gguf import random_tensors, write_gguf
from youtu_edge.errors import one_line

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_end_in_one_line(reader: str) -> None:
    """Structural and random damage to small files of every kind; scripts/fuzz_readers does the same for longer."""
    script = [str(ROOT / "scripts" / "fuzz_readers"), "--reader", reader, "--cases", "100", "--seed", "1", "--no-golden"]
    done = subprocess.run([sys.executable, *script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


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
    change(checkpoint / "config.json", **{odd: 1})
    assert refusal(capsys, tmp_path, "hf", str(checkpoint)).isprintable()
    gguf = write_gguf(tmp_path / "model.gguf", random_tensors(), metadata={f"llama.{odd}": 1})
    assert r"\x1b]0;title" in refusal(capsys, tmp_path, "gguf", str(gguf))


def test_a_line_of_an_error_is_escaped_and_bounded() -> None:
    assert one_line("a\tb\x7f\u2028中文 é") == r"a\tb\x7f\u2028中文 é"
    assert one_line("x" * 2000) == "x" * 1000 + " … (2000 characters)"
