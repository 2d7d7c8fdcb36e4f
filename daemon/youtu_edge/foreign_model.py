"""Recognises files that are mistaken for a model package, and names the command that makes one. Reads only first bytes."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from pathlib import Path

from youtu_edge.regular_file import kind_of, open_regular

_MANIFEST = "manifest.json"
_ARCHIVES = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_TAR_MAGIC = slice(257, 262)
_HEAD_BYTES = 512
_MOST_NAMES = 1000


def advice(path: Path) -> str:
    """What `path`, which is not a package, is and what to run: one line, without the path itself."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            return f"a link to {os.readlink(path)}, which does not exist; `youtu-edge model list` shows what does"
        return "no such directory; install a model (youtu-edge model install FILE|DIR), or correct model.path"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if stat.S_ISDIR(mode):
        return _directory(path)
    kind = kind_of(mode)
    return f"{kind}, not the directory of a model package" if kind else _file(path)


def source_advice(path: Path) -> str:
    """The same for a file that is to be installed; "" if it may be the archive of a package."""
    try:
        head = _head(path)
    except OSError:
        return ""
    return "" if _is_archive(head) else _weights(path, head)


def _file(path: Path) -> str:
    try:
        head = _head(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if _is_archive(head):
        install = f"youtu-edge model install {shlex.quote(str(path))}"
        return f"an archive, not the directory of a model package; install it: {install}"
    return _weights(path, head) or "a file, not the directory of a model package"


def _weights(path: Path, head: bytes) -> str:
    """The advice for model files of other programs; "" for any other file."""
    if head[:4] == b"GGUF":
        return f"a GGUF file, not a model package; make one from it: {_export('gguf', path)}"
    if path.suffix in (".safetensors", ".bin", ".pt", ".pth") or head[8:10] == b'{"':
        return f"weights, not a model package; make one from the whole checkpoint: {_export('hf', path.parent)}"
    if head[:4] == b"PK\x03\x04":
        return "a zip archive, not a model package; unpack it and give its directory"
    if path.suffix == ".onnx":
        return "an ONNX graph, not a model package; give the directory that holds it and manifest.json"
    return ""


def _directory(path: Path) -> str:
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry, _ in zip(entries, range(_MOST_NAMES), strict=False))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    found = f"no {_MANIFEST}: not a model package; "
    if not names:
        return f"{found}the directory is empty; install one: youtu-edge model install FILE|DIR"
    if gguf := [name for name in names if name.endswith(".gguf")]:
        return f"{found}make one from the GGUF file: {_export('gguf', path / gguf[0])}"
    if "config.json" in names or any(name.endswith(".safetensors") for name in names):
        return f"{found}make one from the Hugging Face checkpoint: {_export('hf', path)}"
    with contextlib.suppress(OSError):
        for name in ("current", *names):
            if (path / name / _MANIFEST).is_file():
                return f"{found}give the one inside it: {path / name}"
    return f"{found}make one with youtu-export"


def _export(form: str, source: Path) -> str:
    return f"youtu-export {form} {shlex.quote(str(source))} OUT, then youtu-edge model install OUT"


def _is_archive(head: bytes) -> bool:
    return head[_TAR_MAGIC] == b"ustar" or any(head.startswith(magic) for magic in _ARCHIVES)


def _head(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_HEAD_BYTES)
