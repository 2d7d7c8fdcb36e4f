"""Arguments of the command line: a mistake is one line that suggests the right word, and exit code 2."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NoReturn

from youtu_edge.errors import one_line

if TYPE_CHECKING:
    from youtu_edge.help_page import HelpPage

EXIT_USAGE = 2


class Parser(argparse.ArgumentParser):
    """Options are written in full: an abbreviation could mean another option after an upgrade."""

    pages = "youtu_edge.cli.help_pages"
    """The module with PAGES, a HelpPage by command."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)
        self._given: list[str] = []
        self._below: argparse._SubParsersAction[Any] | None = None

    def add_subparsers(self, **settings: Any) -> argparse._SubParsersAction[Any]:
        """As argparse's; the parsers below are of this class."""
        self._below = super().add_subparsers(**settings)
        return self._below

    def commands(self) -> dict[str, Parser]:
        """The commands, or the actions of a command: name -> parser."""
        return dict(self._below.choices) if self._below else {}

    def format_help(self) -> str:
        """Options between what the command does, and its examples and exit codes."""
        pages: dict[str, HelpPage] = importlib.import_module(self.pages).PAGES  # a daemon needs none of them
        if page := pages.get(self.prog):
            self.description, self.epilog = page.text, page.end(reads_config=bool(self.get_default("reads_config")))
        return super().format_help()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Each parser rejects what it does not know, and so can name its own options."""
        self._given = list(sys.argv[1:] if args is None else args)
        found, unknown = super().parse_known_args(self._given, namespace)
        if unknown:
            self._reject(unknown[0])
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Print one line and exit. An unknown option is reported first: it may be why something else is missing."""
        for option in self._unknown_options():
            self._reject(option)
        self._fail(f"{message}; see `{self.prog} --help`")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = list(action.choices)
        kind = str(action.metavar or action.dest).lower()
        known = did_you_mean(str(value), choices) or f"; one of: {', '.join(choices)}"
        self._fail(f"{value!r} is not {with_article(kind)} of `{self.prog}`{known}")

    def _reject(self, argument: str) -> NoReturn:
        name = argument.partition("=")[0]
        if not name.startswith("-"):
            self._fail(f"{argument!r} is one argument too many; see `{self.prog} --help`")
        known = (name.startswith("--") and did_you_mean(name, self._option_string_actions)) or f"; see `{self.prog} --help`"
        self._fail(f"{name!r} is not an option of `{self.prog}`{known}")

    def _unknown_options(self) -> Iterable[str]:
        """Up to `--`; up to the action, if one follows, which has options of its own."""
        mine = takewhile(lambda word: word != "--" and (word.startswith("-") or not self._below), self._given)
        return (word for word in mine if _is_option(word) and word.partition("=")[0] not in self._option_string_actions)

    def _fail(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog.partition(' ')[0]}: {one_line(message)}\n")


def _is_option(word: str) -> bool:
    """Not a value, such as -1 or a text with spaces."""
    return word.startswith("-") and len(word) > 1 and not word[1].isdigit() and " " not in word


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "; did you mean …?" with the most similar of `known`, or nothing."""
    import difflib  # only for mistakes: it takes milliseconds to import

    words = list(known)
    begun = [candidate for candidate in words if len(word) > 2 and candidate.startswith(word)]
    similar: Sequence[str] = begun or difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.5)
    return f"; did you mean {similar[0]!r}?" if similar else ""


def with_article(noun: str) -> str:
    """ "a command", "an action"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
