"""Free space and inodes for data and models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from youtu_edge.config import Config
from youtu_edge.doctor.finding import Finding, fail, ok, warn
from youtu_edge.doctor.surroundings import Surroundings, size
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.package import read_manifest

_LEAST_BYTES = 16 * 1024 * 1024
"""SQLite's write-ahead log may take 4 MiB per database, and there are four."""
_LEAST_FILES = 32


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Data and models may share a file system."""
    config = surroundings.config
    if config.storage.directory:
        yield from _storage(Path(config.storage.directory), config)
    else:
        yield ok("nothing is stored on disk: storage.directory is empty")
    yield from _models(Path(config.model.path))


def _storage(path: Path, config: Config) -> Iterator[Finding]:
    if not path.parent.is_dir():
        yield fail(
            f"storage.directory {path} cannot be created: there is no {path.parent}; create it, or nothing survives a "
            "restart"
        )
        return
    where, found = _file_system(path)
    free, problem = found.f_bavail * found.f_frsize, _problem(found)
    if problem:
        yield fail(f"storage.directory {path}: {problem}: nothing new can be stored; free space, or set another directory")
        return
    growth = max(0, _most_bytes(config) - _taken_bytes(path))
    if free < growth:
        yield warn(
            f"storage.directory {path}: only {size(free)} free, but stored data may grow by {size(growth)}; free some "
            "space, or lower storage.*_max_size"
        )
    else:
        yield ok(f"storage.directory {path}: {size(free)} free on {where}, and it may grow by {size(growth)}")


def _models(path: Path) -> Iterator[Finding]:
    where, found = _file_system(path.parent)
    free = found.f_bavail * found.f_frsize
    try:
        needed = sum(entry.size for entry in read_manifest(path).files.values())
    except YoutuEdgeError:
        needed = 0
    if problem := _problem(found, least=0):
        yield warn(f"models in {path.parent}: {problem}: another version cannot be installed; free space, or remount it")
    elif free < needed:
        yield warn(
            f"models in {path.parent}: only {size(free)} free, and another version of {size(needed)} would not fit "
            "beside this one; run `youtu-edge model prune`"
        )
    else:
        yield ok(f"models in {path.parent}: {size(free)} free on {where}")


def _problem(found: os.statvfs_result, least: int = _LEAST_BYTES) -> str:
    """Why nothing can be written there; "" when it can. File systems without an inode table report 0 of 0."""
    if found.f_flag & os.ST_RDONLY:
        return "the file system is read-only (`dmesg` may say why)"
    if found.f_bavail * found.f_frsize < least:
        return f"only {size(found.f_bavail * found.f_frsize)} free"
    if found.f_files and found.f_favail < _LEAST_FILES:
        return f"only {found.f_favail} inodes free (`df -i`)"
    return ""


def _file_system(path: Path) -> tuple[Path, os.statvfs_result]:
    """The path, or the nearest directory above it that exists."""
    for place in (path, *path.absolute().parents):
        try:
            return place, os.statvfs(place)
        except OSError:
            continue
    raise AssertionError("/ has no file system")


def _most_bytes(config: Config) -> int:
    storage = config.storage
    most = storage.conversations_max_bytes + storage.responses_max_bytes + storage.requests_max_bytes
    return most + (config.response_cache.max_bytes if config.response_cache.enabled else 0)


def _taken_bytes(path: Path) -> int:
    try:
        with os.scandir(path) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError:
        return 0
