"""How far one package differs from another: NLL, KL divergence, top-1 agreement over the same text.

NLL   mean of -log q(next token), natural logarithm; perplexity = exp(NLL)
KL    mean over positions of sum_v p(v) * (log p(v) - log q(v)), p of the first package (Kullback and Leibler 1951)
top-1 share of positions at which both rank the same token first
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from youtu_edge.package import TOKENIZER, Package
from youtu_export.checkpoints.stored_tensor import Float32
from youtu_export.checkpoints.tokenizer_file import make_tokenizer
from youtu_export.errors import ExportError
from youtu_export.graph.graph_session import PackageScorer

WINDOW = 512
"""Tokens that are scored together, without context from the window before."""
_ROWS = 64
"""Positions whose logits are widened to float64 at a time."""


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of `package` against `reference` on one text, as stored in the manifest."""

    text: str
    """Name of the text."""
    tokens: int
    """Scored positions."""
    reference: str
    """Recipe of the reference."""
    reference_nll: float
    nll: float
    kl_divergence: float
    top1_agreement: float

    @property
    def reference_perplexity(self) -> float:
        """exp of the reference's NLL."""
        return math.exp(self.reference_nll)

    @property
    def perplexity(self) -> float:
        """exp of the NLL."""
        return math.exp(self.nll)

    @property
    def nll_increase(self) -> float:
        """Relative increase of the NLL: 0.01 is one percent."""
        return self.nll / self.reference_nll - 1


@dataclass(frozen=True)
class Text:
    """A text as tokens, cut into windows that each begin with the model's start token if it has one."""

    name: str
    windows: list[list[int]]


def read_text(path: Path, package: Package, max_tokens: int) -> Text:
    """Cut the first `max_tokens` tokens of a file into windows."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ExportError(f"{path}: not a text file") from None
    tokenizer = make_tokenizer(package.path(TOKENIZER), package.read_text(TOKENIZER))
    ids = tokenizer.encode(text, add_special_tokens=False).ids[:max_tokens]
    if len(ids) < 2:
        raise ExportError(f"{path}: too short to score")
    start = start_token(package, tokenizer)
    parts = [ids[begin : begin + WINDOW] for begin in range(0, len(ids), WINDOW)]
    prefix = [] if start is None else [start]
    return Text(path.name, [[*prefix, *part] for part in parts if len(prefix) + len(part) > 1])


def start_token(package: Package, tokenizer: Tokenizer) -> int | None:
    """The token before a text: that of prompts, else the one that only the chat template writes."""
    manifest = package.manifest
    if manifest.bos_token_id is not None:
        return manifest.bos_token_id
    name = manifest.template_variables.get("bos_token")
    found: int | None = None if name is None else tokenizer.token_to_id(name)
    return found


def measure(reference: Package, package: Package, texts: list[Text]) -> list[Quality]:
    """Figures of `package` against `reference`, one per text. Raises ExportError if their vocabularies differ."""
    if reference.path(TOKENIZER).read_bytes() != package.path(TOKENIZER).read_bytes():
        raise ExportError(f"{package.root}: the tokenizer differs from that of {reference.root}; nothing to compare")
    if reference.manifest.vocab_size != package.manifest.vocab_size:
        raise ExportError(f"{package.root}: the vocabulary size differs from that of {reference.root}")
    first, second = PackageScorer(reference), PackageScorer(package)
    return [_measure(reference.manifest.recipe, first, second, text) for text in texts]


def _measure(recipe: str, first: PackageScorer, second: PackageScorer, text: Text) -> Quality:
    total, count = np.zeros(4), 0
    for window in text.windows:
        total += window_sums(first.logits(window), second.logits(window), window)
        count += len(window) - 1
    nll, other_nll, kl, same = (float(value) for value in total / count)
    return Quality(
        text=text.name, tokens=count, reference=recipe, reference_nll=nll, nll=other_nll,
        kl_divergence=max(0.0, kl), top1_agreement=same,
    )  # fmt: skip


def window_sums(first: Float32, second: Float32, window: list[int]) -> npt.NDArray[np.float64]:
    """Sums over positions of -log p, -log q, KL and top-1 agreement: float64 [4]. Logits are [T, vocab]."""
    sums = np.zeros(4)
    for begin in range(0, len(window) - 1, _ROWS):
        end = min(begin + _ROWS, len(window) - 1)
        p, q = log_softmax(first[begin:end]), log_softmax(second[begin:end])
        rows, following = np.arange(end - begin), window[begin + 1 : end + 1]
        sums -= [p[rows, following].sum(), q[rows, following].sum(), 0, 0]
        sums[2] += (np.exp(p) * (p - q)).sum()
        sums[3] += np.count_nonzero(p.argmax(axis=1) == q.argmax(axis=1))
    return sums


def log_softmax(logits: Float32) -> npt.NDArray[np.float64]:
    """Log-probabilities in float64, by row."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    wide -= np.log(np.exp(wide).sum(axis=1, keepdims=True))
    return wide
