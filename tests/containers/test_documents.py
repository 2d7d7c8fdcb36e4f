"""docs/containers.md in both languages agrees with the files that it describes."""

from __future__ import annotations

import re

from containers.compose import ROOT

TEXTS = [(ROOT / "docs" / name).read_text("utf-8") for name in ("containers.md", "containers.zh.md")]


def commands(text: str) -> list[str]:
    """Lines of the code blocks without their comments."""
    return [line.partition("  # ")[0].strip() for line in text.splitlines() if line.startswith("    ")]


def test_both_languages_have_the_same_parts() -> None:
    """As many headings and table rows in the same order, and the same commands."""
    shapes = [re.findall(r"(?m)^(#+ |\| |    )", text) for text in TEXTS]
    assert shapes[0] == shapes[1]
    assert commands(TEXTS[0]) == commands(TEXTS[1])
    assert len(commands(TEXTS[0])) > 15


def test_both_languages_have_the_same_figures() -> None:
    """Sizes, ports, identifiers: every number of two digits and more."""
    figures = [sorted(re.findall(r"\d[\d.:]*\d", text)) for text in TEXTS]
    assert figures[0] == figures[1]


def test_every_argument_and_every_variable_is_explained() -> None:
    """Those of the Containerfile and of compose.yaml have a row each, with their defaults."""
    arguments = dict(re.findall(r"(?m)^ARG (\w+)=(\S+)$", (ROOT / "Containerfile").read_text("utf-8")))
    variables = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "compose.yaml").read_text("utf-8")))
    assert len(arguments) == 4
    assert len(variables) == 3
    for text in TEXTS:
        for name, default in (arguments | variables).items():
            assert f"| `{name}` | `{default.removeprefix('docker.io/library/')}` |" in text, name
