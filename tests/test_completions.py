"""What Tab completes: the files in completions/ follow from the command as it is, and bash completes with them."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def completed(*words: str) -> list[str]:
    """What bash offers for the last word."""
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_youtu_edge "" "${@: -1}" "${@: -2:1}"'
    script += '; printf "%s\\n" "${COMPREPLY[@]}"'
    command = ["bash", "-c", script, "bash", ROOT / "completions" / "youtu-edge.bash", "youtu-edge", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "config").stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_files_are_those_of_the_command(shell: str) -> None:
    maker = runpy.run_path(str(ROOT / "scripts" / "make_completions"))
    text = (ROOT / "completions" / maker["FILES"][shell]).read_text(encoding="utf-8")
    assert text == maker["completions"](shell), "run .venv/bin/python scripts/make_completions"


def test_bash_completes_commands_actions_options_and_files() -> None:
    assert completed("mod") == ["model"]
    assert completed("model", "ro") == ["rollback"]
    assert completed("model", "install", "--no") == ["--no-activate"]
    assert completed("check-config", "youtu") == ["youtu-edge.yaml"]
    assert completed("model", "show", "b") == ["boards"]
