"""A tiny checkpoint in Hugging Face's format with changed JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file

from tiny_model import make_tiny_checkpoint

INDEX = "model.safetensors.index.json"


def tiny_checkpoint(directory: Path, **options: Any) -> Path:
    """A new checkpoint below a directory; options of make_tiny_checkpoint."""
    (directory / "checkpoint").mkdir()
    return make_tiny_checkpoint(directory / "checkpoint", **options)


def split(source: Path, first: str, second: str) -> None:
    """Make two weight files of one: the layers in the second, everything else in the first, and an index."""
    whole = source / "model.safetensors"
    tensors = load_file(whole)
    places = {name: second if "layers" in name else first for name in tensors}
    for place in (first, second):
        save_file({name: tensor for name, tensor in tensors.items() if places[name] == place}, source / place)
    (source / INDEX).write_text(json.dumps({"weight_map": places}))
    whole.unlink()


def change(path: Path, **values: Any) -> None:
    """Set fields of a JSON file, which is made if need be; ... (Ellipsis) removes one."""
    found = json.loads(path.read_text()) if path.exists() else {}
    found |= values
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not ...}))
