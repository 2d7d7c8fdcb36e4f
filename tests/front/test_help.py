"""`--help` of every command: what it does, its options, examples that are right, exit codes."""

from __future__ import annotations

import itertools
import re
import shlex

import pytest

from command_lines import parsers
from youtu_edge.__main__ import make_parser
from youtu_edge.cli.help_pages import PAGES
from youtu_edge.command_parser import Parser

ALL = {parser.prog: parser for parser, _ in parsers(make_parser())}
COLUMNS = 80


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


def help_of(parser: Parser) -> str:
    return parser.format_help()


def test_every_command_has_a_page_and_every_page_a_command() -> None:
    assert set(PAGES) == set(ALL)


@pytest.mark.parametrize("prog", ALL)
def test_help_says_what_how_and_with_which_result(prog: str) -> None:
    """Within the columns of a terminal; commands with actions leave exit codes to those."""
    text = help_of(ALL[prog])
    assert PAGES[prog].text in text
    assert "\nexamples:\n  " in text
    assert [line for line in text.splitlines() if len(line) > COLUMNS] == []
    codes = [int(code) for code in re.findall(r"^  (\d+) +\S", text.partition("\nexit codes:\n")[2], re.MULTILINE)]
    assert codes == sorted(codes)
    assert bool(codes) is not bool(ALL[prog].commands())
    if codes:
        assert {0, 2} <= set(codes)
        assert 78 in codes or not ALL[prog].get_default("reads_config")


@pytest.mark.parametrize("example", [example for page in PAGES.values() for example in page.examples])
def test_an_example_can_be_typed_as_it_stands(example: str) -> None:
    """Each is accepted by the command line; those of a command begin with it."""
    command, *words = itertools.takewhile(lambda word: word not in "<>", shlex.split(example.removeprefix("sudo ")))
    assert command == "youtu-edge"
    assert make_parser().parse_args(words).command == words[0]


@pytest.mark.parametrize("prog", PAGES)
def test_the_examples_of_a_command_are_of_that_command(prog: str) -> None:
    for example in PAGES[prog].examples:
        assert example.removeprefix("sudo ").startswith(prog)
