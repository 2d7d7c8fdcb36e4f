"""Runs an export that must fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from youtu_export.__main__ import main


def refusal(capsys: pytest.CaptureFixture[str], directory: Path, *arguments: str) -> str:
    """Export into `directory`, which must fail and leave nothing behind; the one line of the error."""
    before = sorted(directory.iterdir())
    capsys.readouterr()
    assert main([*arguments, str(directory / "package")]) == 1
    assert sorted(directory.iterdir()) == before
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("layer ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"youtu-export: {directory}")
    return lines[0]
