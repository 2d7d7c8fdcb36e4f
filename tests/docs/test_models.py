"""docs/models.md has the families that the exporter has, and sizes that follow from published configurations."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from export.known_configs import KNOWN_CONFIGS
from reference_data import DATA, TINY_RANDOM, copy_tiny_random
from youtu_export.__main__ import main
from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.hf_reader import open_hf
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.checkpoints.text_part import text_config
from youtu_export.graph.families import ALL_FAMILIES, FAMILIES, family_of
from youtu_export.graph.families.family import cache_geometry
from youtu_export.graph.model_spec import ModelSpec
from youtu_export.quantise.recipes import RECIPES

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
FAMILY_NAMES = {family.name for family in ALL_FAMILIES}
BESIDE = 350 << 20
"""What a budget has besides weights and cache: docs/boards/generic.md gives 1531 MiB for Youtu-LLM-2B, whose weights take
1105 MiB and whose cache 72."""
TOKENS = 2048
MATRIX_BYTES = (4 + (16 + 8) / RECIPES["q4"].block) / 8
"""Of a weight in four bits: its share of a float16 scale and of a zero point."""
TABLE_BYTES = (8 + 16 / RECIPES["q4"].block) / 8


def _read(config: dict[str, object], name: str) -> ModelSpec:
    checkpoint = Checkpoint(Path(name), "hf", ModelConfig(Path(name), text_config(config)), {})
    return family_of(checkpoint).read_spec(checkpoint)


def weights(spec: ModelSpec) -> tuple[int, float]:
    """Number and bytes of the weights of a model without latent attention, in recipe q4."""
    context = spec.heads * spec.head_width
    attention = spec.hidden * (2 * context + 2 * spec.kv_heads * spec.head_width)
    feed_forward = (2 if spec.family == "phi" else 3) * spec.hidden * spec.feed_forward
    matrices = spec.layers * (attention + feed_forward)
    table = spec.vocab * spec.hidden * (1 if spec.tied_head else 2)
    return matrices + table, matrices * MATRIX_BYTES + table * TABLE_BYTES


def board(budget: float) -> str:
    """The smallest memory of which three quarters are enough."""
    sizes = (1, 2, 4, 8, 16, 32)
    return f"{next(size for size in sizes if budget <= 0.75 * size * 2**30)} GB"


def row(name: str) -> str:
    """A line of the table of sizes."""
    config, family = KNOWN_CONFIGS[name]
    spec = _read(config, name)
    count, size = weights(spec)
    token = cache_geometry(spec, "float16").bytes_per_token
    budget = size + TOKENS * token + BESIDE
    return (
        f"| {name} | {family} | {count / 1e9:.2f} | {size / 2**20:.0f} | {token / 1024:.0f} | {budget / 2**20:.0f} "
        f"| {board(budget)} |"
    )


def test_every_size_is_computed_from_the_published_configuration() -> None:
    """Parameters, memory of recipe q4, cache and board, in the order of the sizes in each family."""
    expected = [row(name) for name, (_, family) in KNOWN_CONFIGS.items() if family in FAMILY_NAMES]
    of_model = re.compile(rf"\| \S+ \| ({'|'.join(FAMILY_NAMES)}) \| \d")
    found = [line for line in DOCUMENT.splitlines() if of_model.match(line)]
    assert sorted(found) == sorted(expected), "\n".join(expected)


def test_every_family_is_in_the_table_of_families() -> None:
    """With what is tested: the small checkpoints that are compared with transformers."""
    rows = {match[1]: match[2] for match in re.finditer(r"^\| (\S+) \| ([^|]+) \|$", DOCUMENT, re.MULTILINE)}
    checkpoints = {name: _family_of(name) for name in TINY_RANDOM}
    for family in FAMILY_NAMES:
        tested = sorted(name for name, found in checkpoints.items() if found == family)
        for name in tested:
            assert name in rows[family], (family, tested)


def _family_of(name: str) -> str:
    config = json.loads((DATA / "tiny-random" / name / "config.json").read_text(encoding="utf-8"))
    return FAMILIES[config["model_type"]].name


@pytest.mark.parametrize("name", ["llama", "qwen3-untied", "phi3", "gemma3-untied"])
def test_the_formula_gives_the_size_of_a_package(name: str, tmp_path: Path) -> None:
    """But for norms and alignment."""
    checkpoint = copy_tiny_random(name, tmp_path / "checkpoint")
    opened = open_hf(checkpoint)
    _, size = weights(family_of(opened).read_spec(opened))
    assert main(["hf", str(checkpoint), str(tmp_path / "package"), "--block", "32"]) == 0
    assert (tmp_path / "package" / "weights.bin").stat().st_size == pytest.approx(size, rel=0.15)
