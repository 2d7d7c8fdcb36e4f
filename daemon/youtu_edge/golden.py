"""Golden prompts (golden.json): answers recorded at export, for the device to compare its own with.

The exporter has the finished graph answer a few prompts greedily and records, at each position of the answer, the likeliest
tokens and their log-probabilities. The device has its engine choose one token at each of these positions, always after the
recorded prefix, so that one different choice does not affect the later positions.

A package whose manifest says `reproducible` gives the same logits on every processor: the device must choose the recorded
tokens, with the recorded log-probabilities to the last digit (`first_difference`). In any other package rounding depends
on the CPU, because instruction sets sum in different orders, and `mean_regret` is compared with a limit:

    regret of one choice  =  log p(most likely token)  -  log p(chosen token),   p as recorded at export

If rounding moves no logit by more than e, then no regret is above 2e, and it is 0 wherever the best token leads by more. A
model other than the exported one (wrong, permuted or damaged weights, another tokenizer, a broken kernel) chooses tokens
that were never likely.
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
"""In nats, over all positions. docs/lab/models.md has the measurements of intact and damaged packages."""

_LOGPROB_ROUNDING = 6e-5
"""Log-probabilities are recorded with four decimals; equal ones differ by at most half a unit of the last."""


class Choice(NamedTuple):
    """What the device chose for one position."""

    token: int
    logprobs: list[float]
    """Of the likeliest tokens, as many as are recorded, the most likely first; only for `first_difference`."""


class GoldenPrompt(msgspec.Struct, frozen=True):
    """One plain-text prompt and the exporter's greedy answer."""

    text: str
    prompt_tokens: int
    """Tokens of `text`, including the start token if the model has one."""
    answer: list[int]
    likely: list[list[tuple[int, float]]]
    """At each position of `answer`: token ids and their natural log-probabilities, the most likely first."""

    def __post_init__(self) -> None:
        """Reject what no exporter writes."""
        if not self.text or not self.answer or len(self.likely) != len(self.answer) or not all(self.likely):
            raise ValueError("a golden prompt needs a text, an answer and the likely tokens at each of its positions")
        if not all(math.isfinite(value) for row in self.likely for _, value in row):
            raise ValueError(f"the model has no finite score after {self.text!r}")

    def regret(self, position: int, token: int) -> float:
        """Regret of choosing `token`; one that is not recorded counts as the least likely recorded one."""
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
        raise PackageError(f"{path}: unknown version {golden.version}, or no prompts; export the model again")
    return golden


def first_difference(prompts: Sequence[GoldenPrompt], choices: Sequence[Sequence[Choice]]) -> str:
    """Describes the first position where the device's choice differs from the exporter's; empty if none does.

    `choices[i][j]` is for position j of prompt i.
    """
    for prompt, chosen in zip(prompts, choices, strict=True):
        for position, (likely, choice) in enumerate(zip(prompt.likely, chosen, strict=True)):
            where = f"token {position + 1} after {prompt.text!r}"
            if choice.token != likely[0][0]:
                return f"{where} is {choice.token} instead of {likely[0][0]}"
            found = [abs(a - b) for (_, a), b in zip(likely, choice.logprobs, strict=False)]
            if len(found) != len(likely) or not all(gap <= _LOGPROB_ROUNDING for gap in found):
                return f"{where}: log-probabilities differ by up to {max(found, default=0):.4f}"
    return ""


def mean_regret(prompts: Sequence[GoldenPrompt], choices: Sequence[Sequence[Choice]]) -> tuple[float, str]:
    """Mean over all positions of `choices` as above, and a description of the largest regret."""
    regrets = [
        (prompt.regret(position, choice.token), f"token {position + 1} after {prompt.text!r}")
        for prompt, chosen in zip(prompts, choices, strict=True)
        for position, choice in enumerate(chosen)
    ]
    worst, where = max(regrets)
    return sum(regret for regret, _ in regrets) / len(regrets), f"{worst:.3f} for {where}"
