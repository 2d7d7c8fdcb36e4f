"""Golden prompts: what counts as a different answer, and how it is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from youtu_edge.errors import PackageError
from youtu_edge.golden import Choice, GoldenPrompt, first_difference, mean_regret, read_golden

PROMPTS = [
    GoldenPrompt("one", 2, [5, 6], [[(5, -0.1234), (7, -2.5)], [(6, -0.5), (5, -1.0)]]),
    GoldenPrompt("two", 2, [8], [[(8, -0.0625), (9, -3.0)]]),
]
EQUAL = [[Choice(5, [-0.12344, -2.50004]), Choice(6, [-0.5, -1.0])], [Choice(8, [-0.06245, -3.0])]]


def with_choice(prompt: int, position: int, choice: Choice) -> list[list[Choice]]:
    changed = [list(row) for row in EQUAL]
    changed[prompt][position] = choice
    return changed


def test_what_differs_by_the_rounding_of_the_notes_is_equal() -> None:
    assert first_difference(PROMPTS, EQUAL) == ""
    assert mean_regret(PROMPTS, EQUAL)[0] == 0


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (Choice(5, [-0.5, -1.0]), "token 2 after 'one' is 5 instead of 6"),
        (Choice(6, [-0.5, -1.0021]), "token 2 after 'one': log-probabilities differ by up to 0.0021"),
        (Choice(6, [-0.5, float("nan")]), "token 2 after 'one': log-probabilities differ"),
        (Choice(6, [-0.5]), "token 2 after 'one': log-probabilities differ"),
        (Choice(6, []), "token 2 after 'one': log-probabilities differ"),
    ],
)
def test_the_first_difference_is_told_with_its_place(choice: Choice, reason: str) -> None:
    changed = with_choice(0, 1, choice)
    changed[1][0] = Choice(9, [])
    assert first_difference(PROMPTS, changed).startswith(reason)


def test_regret_is_the_mean_over_all_positions_and_the_largest_is_told() -> None:
    assert mean_regret(PROMPTS, with_choice(0, 1, Choice(5, []))) == (0.5 / 3, "0.500 for token 2 after 'one'")
    unknown = with_choice(1, 0, Choice(1, []))  # as bad as the last that was noted
    assert mean_regret(PROMPTS, unknown) == (2.9375 / 3, "2.938 for token 1 after 'two'")


@pytest.mark.parametrize("text", ["", "{}", '{"version": 2, "prompts": []}', '{"version": 1, "prompts": []}'])
def test_what_is_no_golden_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "golden.json").write_text(text)
    with pytest.raises(PackageError, match=r"golden\.json"):
        read_golden(tmp_path / "golden.json")
