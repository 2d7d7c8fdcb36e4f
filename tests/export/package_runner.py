"""Runs a package the way the engine does, for one sequence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_edge.engine.model.runner import Runner
from youtu_edge.package import Rope, open_package

_PAGE_TOKENS = 16


class PackageRunner:
    """A package in ONNX Runtime with one sequence and as many pages as it needs."""

    def __init__(self, package: Path, context_length: int = 512, rope: Rope | None = None) -> None:
        self._runner = Runner(
            open_package(package),
            page_tokens=_PAGE_TOKENS,
            threads=1,
            spin_us=0,
            context_length=context_length,
            rope=rope,
        )
        self._pages = list(range(context_length // _PAGE_TOKENS))
        self._runner.allocate_cache(len(self._pages))

    def logits(self, token_ids: list[int], past: int = 0, rows: list[int] | None = None) -> npt.NDArray[np.float32]:
        """Logits of all new tokens, or of `rows`, after `past` cached ones: float32 [rows, vocab]."""
        wanted = list(range(len(token_ids))) if rows is None else rows
        return self._runner.run(token_ids, [len(token_ids)], [past], [self._pages], wanted)

    def greedy(self, prompt: list[int], count: int) -> list[int]:
        """The `count` most likely tokens one after the other."""
        found: list[int] = []
        logits, past = self.logits(prompt, 0, [len(prompt) - 1]), len(prompt)
        while len(found) < count:
            found.append(int(logits[0].argmax()))
            logits, past = self.logits(found[-1:], past), past + 1
        return found

    def computes(self, prompts: list[dict[str, Any]]) -> bool:
        """Every logit of the last prompt token within 2e-4 of transformers', and the same sixteen greedy tokens."""
        for case in prompts:
            ids = case["prompt_ids"]
            np.testing.assert_allclose(self.logits(ids, 0, [len(ids) - 1])[0], case["last_logits"], atol=2e-4, rtol=0)
            assert self.greedy(ids, 16) == case["greedy16"]
        return bool(prompts)
