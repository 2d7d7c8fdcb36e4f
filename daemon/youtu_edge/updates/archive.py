"""Unpacks an untrusted archive or directory into a staging directory.

An archive is a tar of one package, plain or compressed with gzip or zstd, read once as a stream. Only regular files with
plain names are extracted, at most _MAX_FILES of them and no more bytes than `limit`; links, devices, absolute or nested
paths, sparse files and oversized headers are rejected with an error that names them. package.py checks the contents later.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from youtu_edge.errors import PackageError, UpdateError
from youtu_edge.foreign_model import source_advice
from youtu_edge.package import MANIFEST, PLAIN_NAME, read_manifest
from youtu_edge.regular_file import open_regular

SIGNATURE = "manifest.json.sig"

_MAX_FILES = 64
_MAX_HEADER = 64 * 1024
"""Bytes of one extended header; pax headers of real archives take a few hundred."""
_MAX_REST = 1024 * 1024
"""Bytes after the last member: tar pads its last record, to 10 KiB by default."""
_CHUNK = 1024 * 1024
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_PLAIN_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
_HEADER_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)


def unpack(source: Path, target: Path, limit: int) -> None:
    """Put the files of a package, an archive or a directory, into the existing directory `target`.

    Raises PackageError for contents that are not a package's, UpdateError for problems with `source` or the disk.
    """
    try:
        if source.is_dir():
            _copy_directory(source, target, limit)
        else:
            if found := source_advice(source):
                raise PackageError(f"{source}: {found}")
            _check_fits(source.name, source.stat().st_size, limit)
            with _opened(source) as archive:
                _extract(source, archive, target, limit)
    except (tarfile.TarError, EOFError) as error:
        raise PackageError(f"{source}: not a complete tar archive: {error}; copy it again") from None
    except OSError as error:
        where = error.filename or source
        raise UpdateError(f"{where}: {error.strerror or error}") from None


def _copy_directory(source: Path, target: Path, limit: int) -> None:
    """Copies only what the manifest lists, and the signature; other files are ignored."""
    manifest = read_manifest(source)
    names = [MANIFEST, *manifest.files]
    _check_fits(source.name, sum(entry.size for entry in manifest.files.values()), limit)
    if (source / SIGNATURE).exists():
        names.append(SIGNATURE)
    for name in names:
        try:
            opened = open_regular(source / name, os.O_NOFOLLOW)
        except FileNotFoundError:
            raise PackageError(f"{source / name}: is missing; copy the package again") from None
        with opened as file:
            limit -= _write(file, target / name, os.fstat(file.fileno()).st_size, limit)


class _Header(tarfile.TarInfo):
    """A tar header that is checked before tarfile acts on it: it would read an extended header of any size into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _HEADER_TYPES:
            if not 0 <= header.size <= _MAX_HEADER:
                raise PackageError(f"archive member {header.name!r}: its extended header has {header.size} bytes")
        elif header.type not in _PLAIN_TYPES:
            raise PackageError(f"archive member {header.name!r}: a package contains regular files only")
        return header


def _extract(source: Path, archive: IO[bytes] | gzip.GzipFile, target: Path, limit: int) -> None:
    prefix: str | None = None
    found: set[str] = set()
    with tarfile.open(fileobj=archive, mode="r|", tarinfo=_Header) as members:
        for member in members:
            if not member.isfile() and not member.isdir():  # an extended header can override the type in the plain one
                raise PackageError(f"{source}: member {member.name!r}: a package contains regular files only")
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            if member.name.startswith("/") or ".." in parts or len(parts) > 2:
                raise PackageError(f"{source}: member {member.name!r}: not a path of a package; leave it out")
            if member.isdir() and len(parts) < 2:
                continue
            name, directory = (parts or [""])[-1], "/".join(parts[:-1])
            if member.isdir() or not PLAIN_NAME.fullmatch(name):
                raise PackageError(f"{source}: member {member.name!r}: a package contains regular files only; leave it out")
            if prefix not in (None, directory):
                raise PackageError(f"{source}: contains more than one package: {prefix or '.'} and {directory or '.'}")
            prefix = directory
            if name in found:
                raise PackageError(f"{source}: member {member.name!r}: occurs twice")
            found.add(name)
            if len(found) > _MAX_FILES:
                raise PackageError(f"{source}: contains more than {_MAX_FILES} files: not a model package")
            content = members.extractfile(member)
            assert content is not None, "a plain file has contents"
            limit -= _write(content, target / name, member.size, limit)


def _check_fits(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise UpdateError(
            f"{name}: its {size} bytes do not fit on the disk, which has {max(limit, 0)} to spare; "
            "`youtu-edge model prune` frees space"
        )


def _write(content: IO[bytes], path: Path, size: int, limit: int) -> int:
    """Copy exactly `size` bytes; returns `size`."""
    _check_fits(path.name, size, limit)
    left = size
    with path.open("xb") as file:
        while left:
            chunk = content.read(min(_CHUNK, left))
            if not chunk:
                raise PackageError(f"{path.name}: ends {left} bytes early: the source is truncated; copy it again")
            file.write(chunk)
            left -= len(chunk)
    path.chmod(0o644)
    return size


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The bytes of a tar, decompressed."""
    with open_regular(source) as file:
        magic = file.read(4)
        file.seek(0)
        if magic == _ZSTD:
            with _zstd(source) as plain:
                yield plain
        elif magic[:2] == _GZIP:
            try:
                with gzip.open(file) as plain:
                    yield plain
            except (gzip.BadGzipFile, zlib.error) as error:
                raise PackageError(f"{source}: damaged: {error}; copy it again") from None
        else:
            yield file


@contextlib.contextmanager
def _zstd(source: Path) -> Iterator[IO[bytes]]:
    """By the zstd program, because Python has zstd only from 3.14 on."""
    program = shutil.which("zstd")
    if program is None:
        raise UpdateError(f"{source}: the program zstd is not installed; install it, or pack the package as .tar.gz")
    command = [program, "--decompress", "--stdout", "--quiet", "--", str(source.absolute())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process.stdout
            if len(process.stdout.read(_MAX_REST + 1)) > _MAX_REST:  # closing the pipe early would look like damage
                raise PackageError(f"{source}: goes on after the end of the archive; copy it again")
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0:
            raise PackageError(
                f"{source}: damaged: {process.stderr.read().decode(errors='replace')[:200].strip()}; copy it again"
            )
