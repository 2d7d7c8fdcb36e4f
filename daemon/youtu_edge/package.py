"""Model packages: the manifest, its checksums and the geometry of the cache. See docs/package-format.md.

A package is a directory. `manifest.json` lists every other file with size and sha256, and holds a checksum of itself, so
that any flipped bit is found before anything is loaded. Loading never executes code from a package and never follows a path
out of it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.cache_geometry import CacheGeometry
from youtu_edge.encoding import json_bytes
from youtu_edge.errors import PackageError
from youtu_edge.file_digest import PIECE_BYTES, file_sha256, piece_digests
from youtu_edge.foreign_model import advice
from youtu_edge.json_file import JsonError, checked, decode_json, read_bounded
from youtu_edge.regular_file import kind_of

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
MODEL = "model.onnx"
WEIGHTS = "weights.bin"
TOKENIZER = "tokenizer.json"
CHAT_TEMPLATE = "chat_template.jinja"
GENERATION = "generation.json"
REQUIRED_FILES = (MODEL, WEIGHTS, TOKENIZER, GENERATION)

PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""The file names that a package may contain."""

_ZERO_SUM = "0" * 64
_CHECKSUM = re.compile(rb'"checksum":\s*"([0-9a-f]{64})"')
_LARGEST_TEXT = 64 * 1024 * 1024
"""Bytes of a file that is read at once; the largest known tokenizer has 35 MB."""

_Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
_TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_Size = Annotated[int, Meta(ge=0, le=2**53)]
"""Bytes, or weights."""
_Frequency = Annotated[float, Meta(gt=0, le=1e9)]


class FileEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the manifest says about one file."""

    size: _Size
    sha256: str
    pieces: list[str] = []
    """sha256 of each PIECE_BYTES of a file that is larger than that, in order."""


class Rope(msgspec.Struct, frozen=True):
    """Rotary embedding: angle(position, j) = position * inverse_frequencies[j]; cos and sin times `scale`."""

    inverse_frequencies: Annotated[list[_Frequency], Meta(min_length=1, max_length=100_000)]
    scale: _Frequency = 1.0


class LongRope(msgspec.Struct, frozen=True):
    """The rope of a model that was trained with another one on longer contexts: for up to `context_length` tokens."""

    context_length: _Count
    rope: Rope


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of manifest.json."""

    format_version: int
    name: str
    family: str
    recipe: str
    context_length: _Count
    vocab_size: Annotated[int, Meta(ge=1, le=2**22)]
    """Width of the logits; the tokenizer may use fewer ids."""
    cache: CacheGeometry
    rope: Rope
    long_rope: LongRope | None = None
    """In place of `rope` where the configured context is longer than `context_length`; it has as many frequencies."""
    local_rope: Rope | None = None
    """The rope of layers with a window, if it is another one (Gemma 3); it has as many frequencies."""
    window: _Count | None = None
    """The most tokens that any layer attends to, the last one itself; null if a layer attends to all of them."""
    eos_token_ids: list[_TokenId]
    bos_token_id: _TokenId | None = None
    """Prepended to every prompt that does not start with it; null for models without one."""
    prompt_end: list[_TokenId] = []
    """Ids that end every prompt of a model with prefix attention (GLM): the tokens before the last of them are computed in
    one chunk and attend to each other; the graph has the input position_ids. Empty for causal models."""
    tool_format: str = ""
    """The form of tool calls, by its name in tool_formats.py; empty: known by words of the chat template."""
    template_variables: dict[str, str] = {}
    """Strings that the chat template may use, such as bos_token and eos_token."""
    reproducible: bool = False
    """Every node of the graph gives the same bits on every processor and in every batch."""
    parameters: _Size = 0
    release: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    """Release number of the model of this name; the device rejects a lower one without --allow-downgrade."""
    quality: dict[str, Any] = {}
    source: dict[str, str] = {}
    exporter: str = ""
    files: dict[str, FileEntry]
    checksum: str = _ZERO_SUM
    """sha256 of manifest.json itself with this value replaced by 64 zeros."""


class Package:
    """An opened package. `open_package` is the only way to get one whose bytes were checked."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest

    def path(self, name: str) -> Path:
        """Absolute path of a file that the manifest lists. Raises PackageError for any other."""
        if name not in self.manifest.files:
            raise PackageError(f"{self.root / MANIFEST}: the package has no {name}; export the model again")
        return self.root / name

    def read_text(self, name: str) -> str:
        """Contents of a listed text file. Raises PackageError."""
        path = self.path(name)
        try:
            return read_bounded(path, _LARGEST_TEXT).decode("utf-8")
        except UnicodeDecodeError:
            raise PackageError(f"{path}: not a text file; export the model again") from None
        except JsonError as error:
            raise PackageError(f"{path}: {error}") from None
        except OSError as error:
            raise PackageError(f"{path}: cannot be read: {error.strerror}") from None

    @property
    def has_chat_template(self) -> bool:
        """Whether conversations can be rendered; without it only plain completion works."""
        return CHAT_TEMPLATE in self.manifest.files


def read_manifest(root: Path) -> Manifest:
    """Parse and check manifest.json alone. Raises PackageError naming the file and what is wrong."""
    path = root / MANIFEST
    try:
        data = read_bounded(path)
        values = decode_json(data)
    except (FileNotFoundError, NotADirectoryError):
        raise PackageError(f"{root}: {advice(root)}") from None
    except OSError as error:
        raise PackageError(f"{path}: cannot be read: {error.strerror}") from None
    except JsonError as error:
        raise PackageError(f"{path}: {error}; copy or export the package again") from None
    if not isinstance(values, dict):
        raise PackageError(f"{path}: not a JSON object; copy or export the package again")
    _check_version(path, values.get("format_version"))
    if _manifest_checksum(data) is None:
        raise PackageError(f"{path}: checksum does not match: the file is damaged; copy or export the package again")
    try:
        manifest = checked(values, Manifest)
    except JsonError as error:
        raise PackageError(f"{path}: {error}; export the model again") from None
    _check_ids(path, manifest)
    for name, entry in manifest.files.items():
        if not PLAIN_NAME.fullmatch(name):
            raise PackageError(f"{path}: {name!r} is not a plain file name")
        if entry.pieces and len(entry.pieces) != -(-entry.size // PIECE_BYTES):
            raise PackageError(f"{path}: {name}: {len(entry.pieces)} pieces do not fit its size; export the model again")
    for name in REQUIRED_FILES:
        if name not in manifest.files:
            raise PackageError(f"{path}: does not list {name}; export the model again")
    for name in (TOKENIZER, CHAT_TEMPLATE, GENERATION):
        if name in manifest.files and manifest.files[name].size > _LARGEST_TEXT:
            raise PackageError(f"{path}: {name}: has {manifest.files[name].size} bytes; at most {_LARGEST_TEXT} are read")
    return manifest


def open_package(
    root: str | os.PathLike[str],
    *,
    progress: Callable[[int, int], None] | None = None,
    unread: Collection[str] = (),
) -> Package:
    """Read the manifest and check every byte of every file against it, except those in `unread`, which the caller leaves to
    `check_file`: only their size is checked.

    `progress(done, total)` is called in bytes. Raises PackageError naming the first bad file.
    """
    directory = Path(os.path.realpath(root))
    if not os.path.isdir(directory):
        raise PackageError(f"{root}: {advice(Path(root))}")
    manifest = read_manifest(directory)
    total = sum(entry.size for entry in manifest.files.values())
    done = 0
    for name, entry in manifest.files.items():
        path = directory / name
        try:
            if path.is_symlink():
                raise PackageError(f"{path}: is a symbolic link; a package contains regular files only")
            status = path.stat()
            if kind := kind_of(status.st_mode):
                raise PackageError(f"{path}: is {kind}; a package contains regular files only")
            size = status.st_size
            if size != entry.size:
                raise PackageError(f"{path}: has {size} bytes instead of {entry.size}: truncated or damaged; copy it again")
            if name in unread:
                continue
            for count in _checked(path, entry):
                done += count
                if progress:
                    progress(done, total)
        except FileNotFoundError:
            raise PackageError(f"{path}: is missing; copy the package again") from None
        except OSError as error:
            raise PackageError(f"{path}: cannot be read: {error.strerror}") from None
    return Package(directory, manifest)


def check_file(package: Package, name: str) -> None:
    """Check every byte of a file that `open_package` left unread. Raises PackageError naming it."""
    path = package.path(name)
    try:
        for _ in _checked(path, package.manifest.files[name]):
            pass
    except OSError as error:
        raise PackageError(f"{path}: cannot be read: {error.strerror}") from None


def file_entry(path: Path) -> FileEntry:
    """Size and checksums of a file, for a manifest."""
    size = path.stat().st_size
    return FileEntry(size, file_sha256(path), list(piece_digests(path, size)) if size > PIECE_BYTES else [])


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write manifest.json with its own checksum filled in."""
    blank = msgspec.structs.replace(manifest, checksum=_ZERO_SUM)
    data = msgspec.json.format(json_bytes(blank), indent=2)
    filled = data.replace(_ZERO_SUM.encode(), hashlib.sha256(data).hexdigest().encode())
    (root / MANIFEST).write_bytes(filled)


def _check_version(path: Path, version: object) -> None:
    if not isinstance(version, int) or version < 1:
        raise PackageError(f"{path}: format version {version!r} is unknown; copy or export the package again")
    if version > FORMAT_VERSION:
        raise PackageError(
            f"{path}: format version {version} is newer than {FORMAT_VERSION}, the newest supported here; update youtu-edge"
        )
    if version < FORMAT_VERSION:
        raise PackageError(
            f"{path}: format version {version} was made by an older youtu-export; this youtu-edge reads version "
            f"{FORMAT_VERSION}: export the model again (youtu-export gguf|hf SOURCE OUT)"
        )


def _check_ids(path: Path, manifest: Manifest) -> None:
    """Ids are used as rows of tables with `vocab_size` rows."""
    start = [] if manifest.bos_token_id is None else [manifest.bos_token_id]
    for key, ids in (
        ("eos_token_ids", manifest.eos_token_ids),
        ("bos_token_id", start),
        ("prompt_end", manifest.prompt_end),
    ):
        for token_id in ids:
            if token_id >= manifest.vocab_size:
                raise PackageError(
                    f"{path}: {key}: {token_id} is outside the vocabulary of {manifest.vocab_size}; export it again"
                )


def _checked(path: Path, entry: FileEntry) -> Iterator[int]:
    """Verify a file against its checksums; yields the number of bytes verified since the last yield."""
    if not entry.pieces:
        if file_sha256(path) != entry.sha256:
            raise PackageError(f"{path}: sha256 does not match the manifest: the file is damaged; copy it again")
        yield entry.size
        return
    for number, digest in enumerate(piece_digests(path, entry.size)):
        begin = number * PIECE_BYTES
        if digest != entry.pieces[number]:
            raise PackageError(f"{path}: sha256 does not match at {begin >> 20} MiB: the file is damaged; copy it again")
        yield min(PIECE_BYTES, entry.size - begin)


def _manifest_checksum(data: bytes) -> str | None:
    found = _CHECKSUM.search(data)
    if not found:
        return None
    stated = found.group(1)
    blank = data[: found.start(1)] + _ZERO_SUM.encode() + data[found.end(1) :]
    digest = hashlib.sha256(blank).hexdigest()
    return digest if digest.encode() == stated else None
