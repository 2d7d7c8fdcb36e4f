"""Mistakes on the command line are one line, suggest the right word, and end with exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_lines import error_line, long_options, parsers
from front.command import youtu_edge
from youtu_edge.__main__ import main, make_parser

COMMANDS = [words for _, words in parsers(make_parser()) if words]
OPTIONS = long_options(make_parser())


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Its line."""
    line = error_line(main, capsys, *arguments)
    assert line.startswith("youtu-edge: ")
    return line


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_typo_of_every_command_suggests_it(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Two letters exchanged, in commands and in actions."""
    *path, name = words
    typo = name[1] + name[0] + name[2:]
    assert f"'{typo}' is not a" in (line := error_of(capsys, *path, typo))
    assert line.endswith(f"; did you mean '{name}'?")


@pytest.mark.parametrize(("words", "option"), OPTIONS, ids=str)
def test_a_typo_of_every_option_suggests_it(words: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where an argument is missing beside it."""
    typo = option[:-2] + option[-1] + option[-2]
    prog = " ".join(["youtu-edge", *words])
    assert error_of(capsys, *words, typo) == f"youtu-edge: '{typo}' is not an option of `{prog}`; did you mean '{option}'?"


@pytest.mark.parametrize(("words", "option"), OPTIONS, ids=str)
def test_options_are_not_abbreviated(words: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without its last letter an option is unknown."""
    assert "is not an option of" in error_of(capsys, *words, option[:-1])


def test_a_word_that_resembles_nothing_gets_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    line = error_of(capsys, "model", "xyzzy")
    assert line == (
        "youtu-edge: 'xyzzy' is not an action of `youtu-edge model`; "
        "one of: show, verify, install, activate, rollback, list, prune"
    )
    assert (
        error_of(capsys, "chat", "-v")
        == "youtu-edge: '-v' is not an option of `youtu-edge chat`; see `youtu-edge chat --help`"
    )


def test_other_mistakes_are_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of an argument are not printed."""
    assert error_of(capsys) == "youtu-edge: the following arguments are required: COMMAND; see `youtu-edge --help`"
    assert error_of(capsys, "chat", "a\nb") == (
        "youtu-edge: 'a\\nb' is one argument too many; see `youtu-edge chat --help`"
    )
    assert error_of(capsys, "status", "--url") == (
        "youtu-edge: argument --url: expected one argument; see `youtu-edge status --help`"
    )


@pytest.mark.parametrize("words", [["health"], ["serve"], ["status"], ["keys", "list"], ["model", "list"], ["render-unit"]])
def test_config_may_stand_before_or_after_the_command(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And between a command and its action."""
    option = ["--config", str(tmp_path / "absent.yaml")]
    for place in range(len(words) + 1):
        assert main([*words[:place], *option, *words[place:]]) == 78
        assert capsys.readouterr().err.startswith(f"youtu-edge: {tmp_path}/absent.yaml: ")


@pytest.mark.parametrize(
    ("words", "command"),
    [(["chat"], "chat"), (["check-config", "x"], "check-config"), (["model", "show", "x"], "model show")],
)
def test_config_is_rejected_where_no_configuration_is_read(
    words: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert error_of(capsys, "--config", "x", *words).startswith(
        f"youtu-edge: `youtu-edge {command}` reads no configuration: leave out --config"
    )


def test_the_process_ends_with_the_same_line() -> None:
    done = youtu_edge("statsu")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "youtu-edge: 'statsu' is not a command of `youtu-edge`; did you mean 'status'?\n"
