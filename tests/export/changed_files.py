"""A tiny checkpoint in Hugging Face's format whose JSON files say something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tiny_model import make_tiny_checkpoint


def tiny_checkpoint(directory: Path, **options: Any) -> Path:
    """A new checkpoint below a directory; options of make_tiny_checkpoint."""
    (directory / "checkpoint").mkdir()
    return make_tiny_checkpoint(directory / "checkpoint", **options)


def change(path: Path, **values: Any) -> None:
    """Set fields of a JSON file, which is made if need be; ... (Ellipsis) removes one."""
    found = json.loads(path.read_text()) if path.exists() else {}
    found |= values
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not ...}))
