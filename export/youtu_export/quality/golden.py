"""Has a finished package answer a few prompts and writes golden.json, against which a device checks the package.

youtu_edge/golden.py defines the file and the device's comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from tokenizers import Tokenizer

from youtu_edge.golden import GOLDEN, VERSION, Golden, GoldenPrompt
from youtu_edge.package import TOKENIZER, Manifest, Package
from youtu_edge.vocabulary_size import vocabulary_size
from youtu_export.checkpoints.tokenizer_file import make_tokenizer
from youtu_export.errors import ExportError
from youtu_export.graph.graph_session import PackageScorer
from youtu_export.quality.quality import log_softmax

PROMPTS = (
    "The capital of France is",
    "Water boils at a temperature of",
    "def fibonacci(n):\n    ",
    '{"name": "Alice", "age":',
    "今天的天气很好，我们",
    "1, 2, 3, 4, 5,",
)
"""Short, varied and ordinary: a model trained on any text is confident about some of the tokens that follow them."""

_ANSWER_TOKENS = 8
_LIKELY_TOKENS = 16
_DIGITS = 4


def write_golden(directory: Path, manifest: Manifest, prompts: Sequence[str] = PROMPTS, named: Path | None = None) -> None:
    """Write golden.json to a package directory whose other files are complete.

    Raises ExportError, which names `named`, for a model whose logits are not finite.
    """
    package = Package(directory, manifest)
    tokenizer = make_tokenizer(package.path(TOKENIZER), package.read_text(TOKENIZER))
    scorer = PackageScorer(package, named)
    size = vocabulary_size(tokenizer, manifest.vocab_size)
    found = [_answer(scorer, tokenizer, size, manifest.bos_token_id, prompt) for prompt in prompts]
    (directory / GOLDEN).write_bytes(msgspec.json.encode(Golden(VERSION, found)) + b"\n")


def read_prompts(path: Path) -> list[str]:
    """One prompt per line; empty lines are skipped. Raises ExportError."""
    try:
        prompts = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise ExportError(f"{path}: not a text file") from None
    if not prompts:
        raise ExportError(f"{path}: contains no prompt; write one per line")
    return prompts


def _answer(scorer: PackageScorer, tokenizer: Tokenizer, vocab_size: int, bos: int | None, text: str) -> GoldenPrompt:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    if bos is not None and ids[:1] != [bos]:
        ids = [bos, *ids]
    prompt_tokens = len(ids)
    likely = []
    for _ in range(_ANSWER_TOKENS):
        row = log_softmax(scorer.logits(ids)[-1:, :vocab_size])[0]  # the engine samples no others
        order = np.argsort(-row, kind="stable")[:_LIKELY_TOKENS]
        likely.append([(int(token), round(float(row[token]), _DIGITS)) for token in order])
        ids.append(int(order[0]))
    return GoldenPrompt(text, prompt_tokens, ids[prompt_tokens:], likely)
