"""A trained model of Youtu's architecture: the cost of quantisation, and that it still answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from reference_data import DATA, nano_figures
from score import log_softmax
from youtu_edge.engine.model.runner import Runner
from youtu_edge.engine.service import load_prompter
from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.package import open_package
from youtu_edge.protocol.prompt import ChatMessage
from youtu_export.__main__ import main

_PAGE_TOKENS, _PAGES, _CONTEXT = 16, 2048, 1024
_BOS, _EOS, _MAX_ANSWER = 8182, 8183, 40
_MARGIN = 0.01
"""Below this gap between the best two logits another order of additions may choose the other token."""
RECIPES = {
    "f32": ([], 0.0005, {"add1": 50, "add2": 42, "repeat": 49, "json": 29, "zh": 24}),
    "q8": (["--recipe", "q8"], 0.001, {"add1": 49, "add2": 40, "repeat": 48, "json": 28, "zh": 23}),
    "q4": (["--recipe", "q4"], 0.005, {"add1": 48, "add2": 38, "repeat": 47, "json": 27, "zh": 23}),
    "q4-small": (["--recipe", "q4-small"], 0.005, {"add1": 48, "add2": 37, "repeat": 47, "json": 25, "zh": 23}),
}
"""Options, the bound on the relative increase of NLL, and right answers: exactly for f32, at least for the others."""


class NanoModel:
    """A package of youtu-nano, its tokenizer, and the figures that it is held against."""

    def __init__(self, root: Path, recipe: str, reference: dict[str, Any]) -> None:
        package = open_package(root)
        self.recipe = recipe
        self.reference = reference
        self.runner = Runner(package, page_tokens=_PAGE_TOKENS, threads=1, spin_us=0, context_length=_CONTEXT)
        self.runner.allocate_cache(_PAGES)
        self.tokenizer: Tokenizer
        self.prompter: Prompter
        self.tokenizer, self.prompter = load_prompter(package)

    def greedy(self, prompts: list[list[int]], count: int, stop: int | None = None) -> list[list[int]]:
        """Continue all prompts at once, each up to `count` tokens or to the token before `stop`."""
        pages_each = _PAGES // len(prompts)
        pages = [list(range(i * pages_each, (i + 1) * pages_each)) for i in range(len(prompts))]
        found: list[list[int]] = [[] for _ in prompts]
        new, past, active = [list(prompt) for prompt in prompts], [0] * len(prompts), list(range(len(prompts)))
        for _ in range(count):
            lengths = [len(new[i]) for i in active]
            tokens = [token for i in active for token in new[i]]
            rows = (np.cumsum(lengths) - 1).tolist()
            logits = self.runner.run(tokens, lengths, [past[i] for i in active], [pages[i] for i in active], rows)
            for i, token in zip(active, logits.argmax(axis=1).tolist(), strict=True):
                past[i] += len(new[i])
                new[i] = [token]
                if token != stop:
                    found[i].append(token)
            active = [i for i in active if new[i] != [stop]]
            if not active:
                break
        return found


@pytest.fixture(scope="module", params=RECIPES)
def nano(
    request: pytest.FixtureRequest, nano_checkpoint: Path, _operators: None, tmp_path_factory: pytest.TempPathFactory
) -> NanoModel:
    """youtu-nano in each recipe."""
    out = tmp_path_factory.mktemp("nano") / "package"
    assert main(["hf", str(nano_checkpoint), str(out), "--recipe", "f32", *RECIPES[request.param][0]]) == 0
    return NanoModel(out, request.param, nano_figures("reference.json"))


def test_text_is_as_likely_as_the_reference_says(nano: NanoModel) -> None:
    """Mean NLL of 4096 English and 4096 Chinese tokens in windows of 512 behind a BOS, as reference.json describes."""
    for figures in (nano.reference["nll"]["en"], nano.reference["nll"]["zh"]):
        text = (DATA / figures["file"]).read_text()
        ids = nano.tokenizer.encode(text, add_special_tokens=False).ids[:4096]
        assert ids[:16] == figures["first_ids"]
        total = 0.0
        for begin in range(0, 4096, 512):
            window = ids[begin : begin + 512]
            logits = nano.runner.run([_BOS, *window], [513], [0], [list(range(33))], list(range(512)))
            total -= float(log_softmax(logits)[np.arange(512), window].sum())
        assert total / 4096 == pytest.approx(figures["mean_nll"], rel=RECIPES[nano.recipe][1])


def test_short_questions_are_answered_as_the_reference_answers_them(nano: NanoModel) -> None:
    """Exact matches by kind of question, all 235 conversations decoded as one batch."""
    cases = nano_figures("chat_eval.json")
    conversations = [[ChatMessage(role="user", content=case["user"])] for case in cases]
    prompts = [nano.prompter.encode_chat(turns, {"enable_thinking": False}) for turns in conversations]
    right = dict.fromkeys(RECIPES[nano.recipe][2], 0)
    for case, ids in zip(cases, nano.greedy(prompts, _MAX_ANSWER, _EOS), strict=True):
        right[case["kind"]] += nano.tokenizer.decode(ids, skip_special_tokens=False) == case["answer"]
    wanted = RECIPES[nano.recipe][2]
    assert right == wanted if nano.recipe == "f32" else all(right[kind] >= wanted[kind] for kind in wanted)


@pytest.mark.parametrize("nano", ["f32"], indirect=True)
def test_greedy_tokens_are_those_of_the_reference_up_to_the_first_close_call(nano: NanoModel) -> None:
    """In float32, 48 tokens or up to the first step whose two best logits nearly tie; first logits within 2e-4."""
    cases = nano.reference["templated"] + nano.reference["raw"]
    for case, found in zip(cases, nano.greedy([case["prompt_ids"] for case in cases], 48), strict=True):
        steps = next((step for step, margin in enumerate(case["margins"]) if margin < _MARGIN), 48)
        assert found[:steps] == case["greedy48"][:steps]
        ids = case["prompt_ids"]
        logits = nano.runner.run(ids, [len(ids)], [0], [list(range(_CONTEXT // _PAGE_TOKENS))], [len(ids) - 1])[0]
        for token, value in case["first_top5"]:
            assert logits[token] == pytest.approx(value, abs=2e-4)
