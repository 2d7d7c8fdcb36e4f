"""Puts a package on a static file server: an archive, and its line in rollout.json, which boards read.

Files appear in an order in which a board that reads them meanwhile finds an old or a new state: the archive, the signature,
the index. The signature of a new index beside the old one is rejected by the board, which tries again later.
"""

from __future__ import annotations

import datetime
import re
import tarfile
from pathlib import Path

import msgspec

from youtu_edge.errors import UpdateError
from youtu_edge.file_digest import file_sha256, sync
from youtu_edge.json_file import JsonError, read_bounded
from youtu_edge.package import MANIFEST, Package, open_package
from youtu_edge.rollout import FORMAT, INDEX, INDEX_SIGNATURE, LARGEST_INDEX, Release, Rollout, read_rollout
from youtu_export.errors import ExportError
from youtu_export.sign import SIGNATURE, read_private_key, sign


def publish(
    package: Path, directory: Path, *, percent: float, key_file: Path | None, valid_days: int | None = None
) -> Release:
    """Write the archive, if it is not there yet, and offer it to `percent` of the boards; returns its line in the index.

    With a key, package and index are signed, as an index must be that is signed already. With `valid_days`, boards refuse
    the index after so many days, and it must be given again each time. Raises ExportError, PackageError.
    """
    opened = open_package(package)
    manifest = opened.manifest
    if manifest.release < 1:
        raise ExportError(f"{package / MANIFEST}: release: is 0; number the releases with `--release N` when you export")
    if key_file is None and (directory / INDEX_SIGNATURE).exists():
        raise ExportError(f"{directory / INDEX_SIGNATURE}: the index is signed; add --key FILE")
    key = read_private_key(key_file) if key_file else None
    if key_file:
        sign(package, key_file)
    directory.mkdir(exist_ok=True)
    rollout = _read(directory, manifest.name)
    if rollout.expires and valid_days is None:
        raise ExportError(f"{directory / INDEX}: the index expires; add --valid-days N")
    archive = directory / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', manifest.name).strip('.-') or 'model'}-{manifest.release}.tar"
    _write_archive(opened, package, archive)
    release = Release(
        release=manifest.release,
        percent=percent,
        archive=archive.name,
        size=archive.stat().st_size,
        sha256=file_sha256(archive),
    )
    others = [other for other in rollout.releases if other.release != release.release]
    releases = tuple(sorted([release, *others], key=lambda each: -each.release))
    rollout = msgspec.structs.replace(rollout, releases=releases, expires=_expiry(valid_days))
    text = msgspec.json.format(msgspec.json.encode(rollout), indent=2) + b"\n"
    if key:
        _replace(directory / INDEX_SIGNATURE, key.sign(text))
    _replace(directory / INDEX, text)
    return release


def _expiry(valid_days: int | None) -> datetime.datetime | msgspec.UnsetType:
    if valid_days is None:
        return msgspec.UNSET
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=valid_days)


def _read(directory: Path, model: str) -> Rollout:
    path = directory / INDEX
    try:
        rollout = read_rollout(read_bounded(path, LARGEST_INDEX), str(path))
    except FileNotFoundError:
        return Rollout(format=FORMAT, model=model, releases=())
    except (JsonError, UpdateError) as error:
        raise ExportError(str(error)) from None
    if rollout.model != model:
        raise ExportError(f"{path}: is for {rollout.model}, and the package for {model}; one directory is for one model")
    return rollout


def _write_archive(opened: Package, package: Path, archive: Path) -> None:
    """The same bytes for the same package: a published archive never changes, boards may be in the middle of it."""
    temporary = archive.with_name(f".{archive.name}")
    names = [MANIFEST, *sorted(opened.manifest.files)]
    if (package / SIGNATURE).exists():
        names.insert(1, SIGNATURE)
    with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as target:
        for name in names:
            target.add(package / name, name, recursive=False, filter=_plain)
    if archive.exists() and file_sha256(archive) != file_sha256(temporary):
        temporary.unlink()
        raise ExportError(f"{archive}: another package is published as this release; export it with a higher --release")
    sync(temporary)
    temporary.rename(archive)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(data)
    sync(temporary)
    temporary.rename(path)
    sync(path.parent)
