"""The documents match the repository, and the repository's features are documented."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from youtu_edge.config_file import dotted_keys

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh.md")
ARCHITECTURE = ROOT / "ARCHITECTURE.md"


def tracked_files() -> list[Path]:
    """Files that git would commit. Skips outside a git checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"not a git checkout: {error}")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def scripts() -> list[Path]:
    return sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file() and path.name != "README.md")


def code_blocks(name: str) -> list[str]:
    """Lines of the indented code blocks of a document, without comments."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line.strip().partition("  #")[0].strip() for line in lines if line.startswith("    ") and line.strip()]


@pytest.mark.parametrize("name", READMES)
def test_the_first_screen_shows_how_to_start_and_how_to_test(name: str) -> None:
    """Both commands are among the first fifteen lines, after the boards."""
    first = "\n".join((ROOT / name).read_text(encoding="utf-8").splitlines()[:15])
    assert "./scripts/quickstart" in first
    assert "./scripts/test" in first


@pytest.mark.parametrize("name", READMES)
def test_every_script_that_a_readme_calls_exists_and_can_be_executed(name: str) -> None:
    """`./scripts/…` in the text is a file with the executable bit."""
    called = set(re.findall(r"\./(scripts/[\w-]+|\.ci/run)", (ROOT / name).read_text(encoding="utf-8")))
    assert called
    for script in called:
        assert os.access(ROOT / script, os.X_OK), f"{name} calls ./{script}"


@pytest.mark.parametrize("name", READMES)
def test_every_command_of_a_readme_is_understood(name: str) -> None:
    """Subcommands and options in the code blocks are those of our own argument parsers."""
    from youtu_edge.__main__ import make_parser

    commands = [line for line in code_blocks(name) if line.startswith(".venv/bin/youtu-edge ")]
    assert commands
    for line in commands:
        make_parser().parse_args(line.split()[1:])


@pytest.mark.parametrize("name", [*READMES, "CONTRIBUTING.md", "ARCHITECTURE.md", "docs/README.md"])
def test_every_link_leads_to_a_file(name: str) -> None:
    """Relative links only; those to the network are not followed."""
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text(encoding="utf-8")):
        if "://" not in target:
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_every_file_that_contributors_are_sent_to_exists() -> None:
    """Names in backquotes with a suffix, below the package that the sentence is about."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = [
        ROOT,
        *(ROOT / name for name in ("daemon/youtu_edge", "export/youtu_export", "daemon/youtu_edge/ops", "tests/export")),
    ]
    names = set(re.findall(r"`([\w./-]+\.(?:py|cc|h|yaml|md))`", text))
    families = ROOT / "export/youtu_export/graph/families"
    assert len(names) > 15
    assert {name for name in names if not any((place / name).exists() for place in (*places, families))} == set()


def test_the_two_readmes_have_the_same_parts() -> None:
    """The translation follows the original: as many headings, code lines and table rows."""

    def shape(name: str) -> list[str]:
        return re.findall(r"^(#+ |\| |    )", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)

    assert shape("README.md") == shape("README.zh.md")


def test_the_architecture_is_short() -> None:
    """One sitting: 150 lines at most."""
    assert len(ARCHITECTURE.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_architecture_names_every_package_and_no_other() -> None:
    """In the tables, by their names in backquotes."""
    tables = [line for line in ARCHITECTURE.read_text("utf-8").splitlines() if line.startswith("| `")]
    named = {name for line in tables for name in re.findall(r"`([\w.]+)`", line.split("|")[1])}
    packages = {
        ".".join(path.parent.relative_to(ROOT / root).parts) or path.parent.name
        for root in ("daemon/youtu_edge", "export/youtu_export")
        for path in (ROOT / root).rglob("__init__.py")
    }
    assert named == packages


def test_every_script_has_its_line() -> None:
    """scripts/README.md names each file beside it."""
    text = (ROOT / "scripts/README.md").read_text(encoding="utf-8")
    missing = [path.name for path in scripts() if f"| `{path.name}` |" not in text]
    assert not missing, f"scripts/README.md says nothing about {', '.join(missing)}"


def test_every_log_line_is_explained() -> None:
    """docs/operations.md says what each event means; lines for debugging are for those who read the source."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    events = {
        event: path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "daemon/youtu_edge").rglob("*.py"))
        for event in re.findall(r'\blog\.(?!debug)\w+\(\s*line\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert "engine_died" in events
    missing = {event: path for event, path in events.items() if not re.search(rf"`{event}[` ]", text)}
    assert not missing, f"docs/operations.md says nothing about {missing}"


def test_what_a_reload_applies_is_listed() -> None:
    """docs/operations.md names every key that changes in a running daemon."""
    from youtu_edge.front.reload import LIVE_KEYS

    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    missing = [key for key in LIVE_KEYS if f"`{key}`" not in text and not key.startswith("generation.")]
    assert not missing, f"docs/operations.md does not say that a reload applies {', '.join(missing)}"


def test_every_script_can_be_executed_and_parsed() -> None:
    """All but the sourced library have the executable bit; bash accepts those that are its."""
    for path in [*scripts(), ROOT / ".ci/run"]:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".sh":
            assert os.access(path, os.X_OK), path.name
            assert text.startswith("#!"), path.name
        if path.suffix == ".sh" or text.startswith("#!/usr/bin/env bash"):
            subprocess.run(["bash", "-n", str(path)], check=True)


def test_every_configuration_key_is_explained_in_the_sample_file() -> None:
    """config/youtu-edge.yaml has each key below its section, commented out or not."""
    sample = ROOT / "config/youtu-edge.yaml"
    if not sample.exists():
        pytest.skip("config/youtu-edge.yaml is not written yet")
    section, found = "", set()
    for line in sample.read_text(encoding="utf-8").splitlines():
        if top := re.match(r"(?:# ?)?(\w+):\s*(?:#.*)?$", line):
            section = top[1]
        elif key := re.match(r"\s*(?:# ?)?\s*(\w+):", line):
            found.add(f"{section}.{key[1]}")
    missing = [key for key in dotted_keys() if key not in found]
    assert not missing, f"config/youtu-edge.yaml says nothing about {', '.join(missing)}"


def test_no_file_names_a_machine_or_a_registry() -> None:
    """Nothing in the repository depends on where it was written."""
    # Cut in two, so that this file does not contain what it looks for.
    private = re.compile(
        "|".join(
            [
                "/work" + "/",
                "/tmp" + "/w/",
                "/root" + "/",
                "/home" + r"/\w",
                "/opt" + "/pypi",
                r"index-url\s*[=:]\s*http",
                "artif" + "actory",
            ]
        )
    )
    found = []
    for path in tracked_files():
        if path.name in ("eval_en.txt", "eval_zh.txt"):
            continue  # parts of manuals, whose paths are examples
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if private.search(line)
        ]
    assert not found, "\n".join(found)
