"""What the tests of both command lines ask: their commands, their long options, and the line about a mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from youtu_edge.command_parser import Parser


def parsers(parser: Parser, words: tuple[str, ...] = ()) -> Iterator[tuple[Parser, list[str]]]:
    """Every parser, and the words that lead to it."""
    yield parser, list(words)
    for name, below in parser.commands().items():
        yield from parsers(below, (*words, name))


def long_options(parser: Parser) -> list[tuple[list[str], str]]:
    """Those that a typo can resemble, behind the words of their command."""
    return [
        (words, option)
        for each, words in parsers(parser)
        for option in each._option_string_actions
        if option.startswith("--") and len(option) > 4
    ]


def error_line(main: Callable[[Sequence[str]], int], capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The line that wrong arguments are answered with, without the newline."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.removesuffix("\n")
