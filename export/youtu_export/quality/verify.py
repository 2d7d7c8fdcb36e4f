"""youtu-export verify PACKAGE --against DIR: a package against transformers running the original checkpoint.

The only module that uses torch; the libraries of the extra [verify] are imported when needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from youtu_edge.package import TOKENIZER, open_package
from youtu_export.checkpoints.stored_tensor import Float32
from youtu_export.checkpoints.tokenizer_file import make_tokenizer
from youtu_export.errors import ExportError
from youtu_export.graph.graph_session import PackageScorer
from youtu_export.optional_library import optional_library
from youtu_export.quality.quality import read_text, window_sums

LARGEST_KL = 0.05
"""Above it a package is not the model that it claims to be."""
PROMPTS = ("The capital of France is", "def fibonacci(n):", "今天的天气")
_GREEDY_TOKENS = 24


@dataclass(frozen=True)
class Verification:
    """Teacher-forced figures over `tokens` positions, and how many greedy tokens agree before the first that differs."""

    tokens: int
    largest_difference: float
    """Largest absolute difference of a logit, each row shifted to mean 0."""
    reference_nll: float
    nll: float
    kl_divergence: float
    top1_agreement: float
    greedy: tuple[tuple[str, int, str, str], ...]
    """(prompt, equal tokens, text of the reference, text of the package)"""

    @property
    def passed(self) -> bool:
        """Whether the KL divergence is small enough for quantisation to be the only difference."""
        return self.kl_divergence <= LARGEST_KL

    def table(self) -> str:
        """The figures as text."""
        rows = [
            f"  {'NLL of the reference':<26}{self.reference_nll:.4f}",
            f"  {'NLL of the package':<26}{self.nll:.4f}",
            f"  {'KL':<26}{self.kl_divergence:.6f} (at most {LARGEST_KL})",
            f"  {'top-1 agreement':<26}{self.top1_agreement:.2%}",
            f"  {'largest logit difference':<26}{self.largest_difference:.5f}",
        ]
        for prompt, same, expected, found in self.greedy:
            rows += [f"  greedy {prompt!r}: first {same} of {_GREEDY_TOKENS} tokens agree"]
            rows += [] if expected == found else [f"    reference: {expected!r}", f"    package:   {found!r}"]
        return "\n".join([f"{self.tokens} tokens, teacher-forced: {'passed' if self.passed else 'FAILED'}", *rows])


class _Reference:
    """The original checkpoint in float32, loaded by optimum's TasksManager with transformers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._torch = _optional("torch")
        _optional("transformers")
        tasks = _optional("optimum.exporters.tasks").TasksManager
        if not (directory / "config.json").is_file():
            raise ExportError(f"{directory}: no config.json: not a checkpoint in Hugging Face's format")
        self._model = tasks.get_model_from_task(
            "text-generation", str(directory), framework="pt", library_name="transformers",
            torch_dtype=self._torch.float32, trust_remote_code=False, local_files_only=True,
        ).eval()  # fmt: skip

    def logits(self, token_ids: list[int]) -> Float32:
        """Logits after every token, float32 [T, vocab]."""
        with self._torch.inference_mode():
            found: Float32 = self._model(self._torch.tensor([token_ids]), use_cache=False).logits[0].float().numpy()
        if not np.isfinite(found).all():
            raise ExportError(
                f"{self._directory}: transformers computes logits that are NaN or infinite: nothing to compare"
            )
        return found


def verify(package_directory: Path, against: Path, texts: Sequence[Path], max_tokens: int) -> Verification:
    """Compare a package with the checkpoint directory it was made from. Raises ExportError if a library is missing."""
    reference = _Reference(against)
    package = open_package(package_directory)
    scorer = PackageScorer(package)
    sums, count, largest = np.zeros(4), 0, 0.0
    for text in texts:
        for window in read_text(text, package, max_tokens).windows:
            expected, found = reference.logits(window), scorer.logits(window)
            if expected.shape != found.shape:
                raise ExportError(f"{package_directory}: logits {found.shape} instead of {expected.shape}")
            sums += window_sums(expected, found, window)
            count += len(window) - 1
            largest = max(largest, float(np.abs(_centred(expected) - _centred(found)).max()))
    tokenizer = make_tokenizer(package.path(TOKENIZER), package.read_text(TOKENIZER))
    greedy = tuple(_compare_greedy(prompt, tokenizer, reference, scorer) for prompt in PROMPTS)
    nll, other_nll, kl, same = (float(value) for value in sums / count)
    return Verification(count, largest, nll, other_nll, max(0.0, kl), same, greedy)


def _compare_greedy(
    prompt: str, tokenizer: Tokenizer, reference: _Reference, scorer: PackageScorer
) -> tuple[str, int, str, str]:
    ids = tokenizer.encode(prompt).ids
    expected, found = (_greedy(model, ids) for model in (reference, scorer))
    same = next((i for i, (a, b) in enumerate(zip(expected, found, strict=True)) if a != b), len(expected))
    return prompt, same, tokenizer.decode(expected), tokenizer.decode(found)


def _greedy(model: _Reference | PackageScorer, prompt: list[int]) -> list[int]:
    ids = list(prompt)
    for _ in range(_GREEDY_TOKENS):
        ids.append(int(model.logits(ids)[-1].argmax()))
    return ids[len(prompt) :]


def _centred(logits: Float32) -> Float32:
    centred: Float32 = logits - logits.mean(axis=1, keepdims=True)
    return centred


def _optional(name: str) -> Any:
    return optional_library(name, user="verify", extra="verify")
