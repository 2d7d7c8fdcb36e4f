"""A guide of docs/boards: its fenced blocks of commands, each with the place where they are to be run.

```sh pc              on the PC, in the checkout
```sh board           on the board, in one terminal, in this order
```sh board-service   likewise, where the board has systemd
```sh board-terminal  instead of the service: a command that stays in its terminal
```sh board-…         what needs a network, the board's hardware or a checkout on it
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "docs" / "boards"
NAMES = ("generic", "orin-nx", "rk3588")
PLACES = {"pc", "board", "board-service", "board-terminal", "board-packages", "board-hardware", "board-checkout"}

_BLOCK = re.compile(r"^```(.*)\n((?:(?!```).*\n)*)```$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """Commands for one place."""

    place: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Its lines; none is continued on the next."""
        return self.text.splitlines()


@dataclass(frozen=True)
class Guide:
    """One document."""

    path: Path
    text: str

    @property
    def blocks(self) -> list[Block]:
        """In the order of the text."""
        found = [(heading.split(), text) for heading, text in _BLOCK.findall(self.text)]
        assert len(found) == self.text.count("\n```") / 2, f"{self.path.name}: a fence is not closed, or indented"
        for heading, _ in found:
            assert heading[:1] == ["sh"], f"{self.path.name}: ```{' '.join(heading)} names no place"
            assert heading[1:2], f"{self.path.name}: ```sh names no place"
        return [Block(heading[1], text) for heading, text in found]

    def commands(self, *places: str) -> list[str]:
        """Those of these places."""
        return [command for block in self.blocks if block.place in places for command in block.commands]

    def command(self, word: str, *places: str) -> str:
        """The only one that holds a word."""
        [found] = [command for command in self.commands(*places) if word in command]
        return found

    @property
    def headings(self) -> list[str]:
        """With their marks."""
        return re.findall(r"^#+ .*$", self.prose, re.MULTILINE)

    @property
    def tables(self) -> list[list[list[str]]]:
        """Tables of rows of cells."""
        found: list[list[list[str]]] = []
        is_inside = False
        for line in self.prose.splitlines():
            if line.startswith("|"):
                if not is_inside:
                    found.append([])
                found[-1].append([cell.strip() for cell in line.strip().strip("|").split("|")])
            is_inside = line.startswith("|")
        return found

    @property
    def prose(self) -> str:
        """Without its blocks of commands."""
        return _BLOCK.sub("", self.text)


def read_guide(name: str, language: str = "") -> Guide:
    """`language`: "zh", or none for English."""
    path = DIRECTORY / (f"{name}.{language}.md" if language else f"{name}.md")
    return Guide(path, path.read_text(encoding="utf-8"))
