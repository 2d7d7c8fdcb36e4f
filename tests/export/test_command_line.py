"""The command line of youtu-export: help that is complete, and mistakes that are answered in one line."""

from __future__ import annotations

import re
import shlex

import pytest

from command_lines import error_line, long_options, parsers
from youtu_edge.command_parser import Parser
from youtu_export.__main__ import main, make_parser
from youtu_export.help_pages import PAGES

ALL: dict[str, Parser] = {parser.prog: parser for parser, _ in parsers(make_parser())}
COMMANDS = sorted(make_parser().commands())
OPTIONS = long_options(make_parser())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_typo_of_every_command_suggests_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    typo = name[:-2] + name[-1] + name[-2]
    expected = f"youtu-export: {typo!r} is not a command of `youtu-export`; did you mean {name!r}?"
    assert error_line(main, capsys, typo) == expected


@pytest.mark.parametrize(("words", "option"), OPTIONS, ids=str)
def test_a_typo_of_every_option_suggests_it(words: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    typo = option[:-2] + option[-1] + option[-2]
    expected = (
        f"youtu-export: {typo!r} is not an option of `{' '.join(['youtu-export', *words])}`; did you mean {option!r}?"
    )
    assert error_line(main, capsys, *words, typo) == expected


def test_every_command_has_a_page_and_every_page_a_command() -> None:
    assert set(PAGES) == set(ALL)


@pytest.mark.parametrize("prog", sorted(ALL))
def test_help_says_what_how_and_with_which_result(prog: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 80 columns; `youtu-export` itself leaves exit codes to its commands."""
    monkeypatch.setenv("COLUMNS", "80")
    text = ALL[prog].format_help()
    assert PAGES[prog].text in text
    assert "\nexamples:\n  " in text
    assert [line for line in text.splitlines() if len(line) > 80] == []
    codes = re.findall(r"^  (\d+) +\S", text.partition("\nexit codes:\n")[2], re.MULTILINE)
    assert (codes[:3] == ["0", "1", "2"] or codes == ["0", "2"]) is not bool(ALL[prog].commands())


@pytest.mark.parametrize(
    ("prog", "example"), [(prog, example) for prog, page in PAGES.items() for example in page.examples]
)
def test_an_example_can_be_typed_as_it_stands(prog: str, example: str) -> None:
    assert example.startswith(prog)
    words = shlex.split(example)[1:]
    assert make_parser().parse_args(words).format == words[0]
