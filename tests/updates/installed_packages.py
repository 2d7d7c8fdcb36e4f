"""What a store has and what it serves, by the checksums of the packages."""

from __future__ import annotations

from pathlib import Path

from youtu_edge.package import open_package
from youtu_edge.updates.store import ModelStore


def installed(store: ModelStore) -> list[str]:
    """The names of the versions."""
    return [version.id for version in store.versions()]


def served(store: ModelStore) -> str:
    """The checksum of the version that the link names."""
    target = store.target()
    assert target is not None
    return open_package(store.directory(target)).manifest.checksum


def checksum(package: Path) -> str:
    return open_package(package).manifest.checksum
