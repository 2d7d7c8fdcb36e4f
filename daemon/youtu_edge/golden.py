"""Golden prompts: what a package is known to answer, for the device to compare with. The contents of golden.json.

The exporter lets the finished graph answer a few prompts greedily and notes, at each position of the answer, which tokens
were likely and how much. The device lets its engine choose one token at each of these positions, always after the noted
beginning, so that one different choice does not change the questions behind it.

    regret of one choice  =  log p(most likely token)  -  log p(chosen token),   p as the exporter found it

Rounding depends on the CPU: activations are int8, and instruction sets add in another order. If that moves no logit by more
than e, then no regret is above 2e, and it is 0 wherever the best token leads by more. A model that is not the one that was
exported (wrong, permuted or damaged weights, another tokenizer, a broken kernel) chooses tokens that were never likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from youtu_edge.errors import PackageError

GOLDEN = "golden.json"
VERSION = 1
LARGEST_MEAN_REGRET = 0.2
"""In nats, over all positions. docs/LOG.md has what honest and damaged packages were measured at."""


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
        golden = msgspec.json.decode(path.read_bytes(), type=Golden)
    except OSError as error:
        raise PackageError(f"{path}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PackageError(f"{path}: {error}; export the model again") from None
    if golden.version != VERSION or not golden.prompts:
        raise PackageError(f"{path}: version {golden.version}, or no prompts: not known here; export the model again")
    return golden


def mean_regret(prompts: Sequence[GoldenPrompt], choices: Sequence[Sequence[int]]) -> float:
    """Mean over all positions; `choices[i][j]` is the token chosen for position j of prompt i."""
    regrets = [
        prompt.regret(position, token)
        for prompt, tokens in zip(prompts, choices, strict=True)
        for position, token in enumerate(tokens)
    ]
    return sum(regrets) / len(regrets)
