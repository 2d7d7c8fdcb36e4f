"""scripts/bench_board: what the owner of a board runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tiny_model import make_tiny_package

ROOT = Path(__file__).resolve().parents[2]
BENCH = [sys.executable, str(ROOT / "scripts/bench_board")]


def test_a_board_is_measured_into_one_document_and_one_table(tmp_path: Path) -> None:
    """Every figure of the table is a figure of the document, and none is zero."""
    package = make_tiny_package(tmp_path / "tiny", recipe="q4", context_length=1024)
    output = tmp_path / "board"
    short = ["--rounds", "1", "--prompts", "16", "--depths", "0", "8", "--tokens", "4", "--threads", "1"]
    subprocess.run([*BENCH, "--package", str(package), "--output", str(output), *short], check=True, capture_output=True)
    document = json.loads((tmp_path / "board.json").read_text(encoding="utf-8"))
    table = (tmp_path / "board.md").read_text(encoding="utf-8")
    assert document["system"]["threads"] == 1
    engine = document["engine"]
    figures = [
        *document["memory_gb_per_s"].values(),
        *(value for row in document["linear"].values() for value in (row["gb_per_s"], row["gmac_per_s"])),
        *engine["prefill_tokens_per_s"].values(),
        *engine["decode_tokens_per_s"].values(),
    ]
    assert len(figures) == 1 + 2 * 5 + 1 + 2
    assert min(figures) > 0
    for figure in figures:
        assert f" {figure} " in table


def test_a_directory_that_is_no_package_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    asked = [*BENCH, "--package", str(tmp_path), "--output", str(tmp_path / "board")]
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{tmp_path} is not a model package: it has no manifest.json" in done.stderr
    assert list(tmp_path.iterdir()) == []
