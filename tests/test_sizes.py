"""Files and functions that can be read at once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 300, 60


def python_files() -> list[Path]:
    """Modules and tests, and the scripts in Python, which may have no suffix."""
    modules = [path for root in ("config", "daemon", "export", "tests") for path in sorted((ROOT / root).rglob("*.py"))]
    scripts = (path for path in sorted((ROOT / "scripts").rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return modules + [path for path in scripts if path.suffix == ".py" or is_python(path)]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_python(script: Path) -> bool:
    with script.open("rb") as file:
        first = file.readline()
    return first.startswith(b"#!") and b"python" in first


@pytest.mark.parametrize("path", python_files(), ids=name_of)
def test_a_file_is_one_noun_and_not_a_book(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES_OF_A_FILE


@pytest.mark.parametrize("path", python_files(), ids=name_of)
def test_a_function_fits_on_a_page(path: Path) -> None:
    """From its `def` to its last line; decorators, which may be a long table of cases, do not count."""
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lines = [(function.name, (function.end_lineno or 0) - function.lineno + 1) for function in functions]
    assert [(name, count) for name, count in lines if count > MOST_LINES_OF_A_FUNCTION] == []
