"""Checkpoints, texts and figures of tests/data, as tests and scripts use them; tests/data/README.md says what they are."""

from __future__ import annotations

import json
import lzma
import shutil
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
NANO = DATA / "youtu-nano"
"""Its weights are compressed: `unpack_youtu_nano` makes a checkpoint of it."""
TINY_RANDOM = (
    "youtu", "youtu-noqlora", "llama", "llama-3.2", "qwen2-tied", "qwen2-untied", "qwen3-tied", "qwen3-untied",
    "mistral", "ministral", "smollm3-tied", "smollm3-untied", "granite-tied", "granite-untied",
    "gemma3-tied", "gemma3-untied", "phi", "phi3", "phi-4-mini", "chatglm3",
)  # fmt: skip
EVAL_EN, EVAL_ZH = DATA / "eval_en.txt", DATA / "eval_zh.txt"


def unpack_youtu_nano(directory: Path) -> None:
    """Write the checkpoint to a new directory: 15 MB, about a second."""
    shutil.copytree(NANO, directory, ignore=shutil.ignore_patterns("*.xz"))
    with lzma.open(NANO / "model.safetensors.xz") as packed, (directory / "model.safetensors").open("wb") as weights:
        shutil.copyfileobj(packed, weights)


def copy_tiny_random(name: str, directory: Path) -> Path:
    """One of TINY_RANDOM with the tokenizer that they share, in a new directory; returns it."""
    shutil.copytree(DATA / "tiny-random" / "tokenizer", directory)
    return shutil.copytree(DATA / "tiny-random" / name, directory, dirs_exist_ok=True)


def nano_figures(name: str) -> Any:
    """What reference.json or chat_eval.json of youtu-nano holds."""
    return json.loads((NANO / name).read_text(encoding="utf-8"))


def tiny_random_figures(name: str) -> dict[str, Any]:
    """What reference.json of one of TINY_RANDOM holds."""
    figures: dict[str, Any] = json.loads((DATA / "tiny-random" / name / "reference.json").read_text(encoding="utf-8"))
    return figures


def smollm2_figures() -> dict[str, Any]:
    """SmolLM2-135M-Instruct as llama.cpp and float32 compute it."""
    figures: dict[str, Any] = json.loads((DATA / "smollm2_reference.json").read_text(encoding="utf-8"))
    return figures
