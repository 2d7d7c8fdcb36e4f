"""The prediction for Orin NX's GPU: its counts are those of the graph, and the guides show what it computes."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import onnx
from boards.gpu_prediction import (
    FAST,
    LAUNCHES_PER_LAYER,
    MODULES,
    MOST_WORKSPACE,
    NODES_PER_LAYER,
    SLOW,
    decode_s,
    first_token_s,
)

from cuda.conftest import ROOT
from export.small_families import CONFIGS, random_tensors, write_checkpoint
from youtu_export.checkpoints.hf_reader import open_hf
from youtu_export.export import export
from youtu_export.quantise.recipes import RECIPES

LAUNCHES = {
    "Linear": 2,
    "RmsNorm": 1,
    "AddRmsNorm": 1,
    "SwiGLU": 1,
    "PagedAttention": 3,
    "Split": 1,
    "Concat": 1,
    "Reshape": 0,
}


def test_nodes_and_launches_are_those_of_a_layer_of_the_graph(tmp_path: Path) -> None:
    """All layers of Youtu are alike but the last one, which computes the rows that are sampled."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", CONFIGS["youtu"], random_tensors(CONFIGS["youtu"]))
    export(open_hf(checkpoint), tmp_path / "package", dataclasses.replace(RECIPES["q4"], block=32), name="youtu")
    graph = onnx.load(tmp_path / "package" / "model.onnx", load_external_data=False).graph
    kinds = Counter(node.op_type for node in graph.node if node.name.startswith("/model/layers.0/"))
    assert sum(kinds.values()) == NODES_PER_LAYER
    assert sum(count * LAUNCHES[kind] for kind, count in kinds.items()) == LAUNCHES_PER_LAYER


def test_the_workspace_is_that_of_the_kernels() -> None:
    source = (ROOT / "daemon/youtu_edge/ops/cuda/attention_launches.cu").read_text(encoding="utf-8")
    found = re.search(r"kMostWorkspace = (\d+) << (\d+);", source)
    assert found
    assert int(found[1]) << int(found[2]) == MOST_WORKSPACE


def test_the_guides_show_what_the_script_computes() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "predict_gpu"], capture_output=True, text=True, check=True)
    rows = [line.split(" | ", 1)[1] for line in done.stdout.splitlines()[2:]]
    assert len(rows) == len(MODULES)
    for name in ("orin-nx.md", "orin-nx.zh.md"):
        guide = (ROOT / "docs" / "boards" / name).read_text(encoding="utf-8")
        assert all(row in guide for row in rows), name


def test_more_of_anything_takes_longer() -> None:
    for module in MODULES:
        for assumed in (SLOW, FAST):
            assert decode_s(module, assumed, 0) < decode_s(module, assumed, 2048) < decode_s(module, assumed, 2048, 8)
            assert first_token_s(module, assumed, 128) < first_token_s(module, assumed, 512)
        assert decode_s(module, FAST, 512) < decode_s(module, SLOW, 512)
