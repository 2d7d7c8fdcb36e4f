"""Golden prompts: what a package is known to answer, for the device to compare with. The contents of golden.json.

The exporter lets the finished graph answer a few prompts greedily and notes, at each position of the answer, which tokens
were likely and how much. The device lets its engine choose one token at each of these positions, always after the noted
beginning, so that one different choice does not change the questions behind it.

A package whose manifest says `reproducible` gives the same logits on every processor, so the device has to choose the noted
tokens and to find their log-probabilities, as far as these have digits: `first_difference`. For any other package rounding
depends on the CPU, because instruction sets add in another order, and `mean_regret` is compared with a limit:

    regret of one choice  =  log p(most likely token)  -  log p(chosen token),   p as the exporter found it

If rounding moves no logit by more than e, then no regret is above 2e, and it is 0 wherever the best token leads by more. A
model that is not the one that was exported (wrong, permuted or damaged weights, another tokenizer, a broken kernel) chooses
tokens that were never likely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from youtu_edge.errors import PackageError
from youtu_edge.json_file import JsonError, checked, decode_json, read_bounded

GOLDEN = "golden.json"
VERSION = 1
LARGEST_MEAN_REGRET = 0.2
"""In nats, over all positions. docs/LOG.md has what honest and damaged packages were measured at."""

_LOGPROB_ROUNDING = 6e-5
"""Log-probabilities are noted with four digits; equal ones differ by half a unit of the last one."""


class Choice(NamedTuple):
    """What the device chose for one position."""

    token: int
    logprobs: list[float]
    """Of as many of the likeliest tokens as are noted, the most likely first; only for `first_difference`."""


class GoldenPrompt(msgspec.Struct, frozen=True):
    """One plain-text prompt and the exporter's greedy answer."""

    text: str
    prompt_tokens: int
    """Tokens of `text`, with the start token where the model wants one."""
    answer: list[int]
    likely: list[list[tuple[int, float]]]
    """At each position of `answer`: token ids and their natural log-probabilities, the most likely first."""

    def __post_init__(self) -> None:
        """Refuse what no exporter writes."""
        if not self.text or not self.answer or len(self.likely) != len(self.answer) or not all(self.likely):
            raise ValueError("a golden prompt needs a text, an answer and the likely tokens at each of its positions")
        if not all(math.isfinite(value) for row in self.likely for _, value in row):
            raise ValueError(f"the model has no finite score behind {self.text!r}")

    def regret(self, position: int, token: int) -> float:
        """Regret of choosing `token`; one that was not even noted counts as the least likely of the noted ones."""
        likely = self.likely[position]
        chosen = next((value for known, value in likely if known == token), likely[-1][1])
        return likely[0][1] - chosen


class Golden(msgspec.Struct, frozen=True):
    """The contents of golden.json."""

    version: int
    prompts: list[GoldenPrompt]


def read_golden(path: Path) -> Golden:
    """Raises PackageError naming the file."""
    try:
        golden = checked(decode_json(read_bounded(path)), Golden)
    except OSError as error:
        raise PackageError(f"{path}: cannot be read: {error.strerror}") from None
    except JsonError as error:
        raise PackageError(f"{path}: {error}; export the model again") from None
    if golden.version != VERSION or not golden.prompts:
        raise PackageError(f"{path}: version {golden.version}, or no prompts: not known here; export the model again")
    return golden


def first_difference(prompts: Sequence[GoldenPrompt], choices: Sequence[Sequence[Choice]]) -> str:
    """In words, where the device first chose or found something else than the exporter; empty if nowhere.

    `choices[i][j]` is for position j of prompt i.
    """
    for prompt, chosen in zip(prompts, choices, strict=True):
        for position, (likely, choice) in enumerate(zip(prompt.likely, chosen, strict=True)):
            where = f"token {position + 1} behind {prompt.text!r}"
            if choice.token != likely[0][0]:
                return f"{where} is {choice.token} instead of {likely[0][0]}"
            found = [abs(a - b) for (_, a), b in zip(likely, choice.logprobs, strict=False)]
            if len(found) != len(likely) or not all(gap <= _LOGPROB_ROUNDING for gap in found):
                return f"{where}: log-probabilities differ by up to {max(found, default=0):.4f}"
    return ""


def mean_regret(prompts: Sequence[GoldenPrompt], choices: Sequence[Sequence[Choice]]) -> tuple[float, str]:
    """Mean over all positions of `choices` as above, and in words, where the largest regret is."""
    regrets = [
        (prompt.regret(position, choice.token), f"token {position + 1} behind {prompt.text!r}")
        for prompt, chosen in zip(prompts, choices, strict=True)
        for position, choice in enumerate(chosen)
    ]
    worst, where = max(regrets)
    return sum(regret for regret, _ in regrets) / len(regrets), f"{worst:.3f} for {where}"
