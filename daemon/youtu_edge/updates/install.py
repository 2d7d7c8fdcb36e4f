"""Installing, activating and removing versions of the model: the commands below `youtu-edge model`.

    unpack -> signature -> checksums -> release -> trial  |  rename into versions/ -> link
    the served version does not change                    |  two atomic renames, each with fsync

A failure on the left leaves nothing behind; a power cut leaves a directory that the next command removes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from youtu_edge.config import Config
from youtu_edge.errors import PackageError, UpdateError
from youtu_edge.foreign_model import advice
from youtu_edge.package import MANIFEST, Manifest, Package, open_package
from youtu_edge.updates.archive import SIGNATURE, unpack
from youtu_edge.updates.signature import check_signature
from youtu_edge.updates.store import ModelStore
from youtu_edge.updates.trial import try_package

_RESERVE_BYTES = 64 * 1024 * 1024
"""Kept free on the disk, for the daemon's own files."""

Report = Callable[[str], None]


def store_of(config: Config) -> ModelStore:
    """The store whose link is model.path. Raises UpdateError."""
    store = ModelStore.around(config.model.path)
    if store is None:
        raise UpdateError(
            f"model.path: {config.model.path} is a package itself, not a link to one; move it away, set model.path to "
            "DIRECTORY/current and install the package"
        )
    if os.path.lexists(store.link) and not store.link.is_symlink():  # a rename would replace a file that is not ours
        raise UpdateError(
            f"model.path: {config.model.path}: {advice(store.link)}; first set model.path to DIRECTORY/current"
        )
    return store


@dataclass(frozen=True)
class Expected:
    """What an index says a package is."""

    name: str
    release: int


def install(
    source: Path,
    config: Config,
    report: Report,
    *,
    activate_it: bool = True,
    allow_lower: bool = False,
    expected: Expected | None = None,
) -> str:
    """Add the package in `source` (a directory or an archive) to the store; returns its id.

    Raises PackageError for a package that is damaged, untrusted or not fit for use; UpdateError for everything else.
    """
    store = store_of(config)
    if not os.path.exists(source):
        raise UpdateError(f"{source}: no such file or directory")
    with store.changing():
        with store.incoming() as directory:
            unpack(source, directory, spare_bytes(store.root))
            package = _verify(directory, config, report)
            _check_expected(package.manifest, expected)
            if not allow_lower:
                _reject_lower_release(package.manifest, store)
            version_id = _installed(store, package.manifest)
            if version_id is not None:
                report(f"{version_id} is installed already")
            else:
                try_package(package, config, report)
                version_id = store.add(directory, package.manifest)
                report(f"installed {version_id}")
        if activate_it:
            _activate(store, version_id, report)
    return version_id


def activate(wanted: str, config: Config, report: Report) -> None:
    """Have the daemon serve the version `wanted`, an id or a prefix of one. Raises UpdateError and PackageError."""
    store = store_of(config)
    with store.changing():
        version = store.find(wanted)
        open_package(store.versions_directory / version.id)
        _activate(store, version.id, report)


def rollback(config: Config, report: Report) -> None:
    """Switch to the newest version that has answered requests and is not the active one. Raises UpdateError."""
    store = store_of(config)
    with store.changing():
        active = store.target()
        for target in store.good_targets():
            if target != active and store.directory(target).is_dir():
                store.switch(target)
                report(f"{Path(target).name} is active again; a running daemon switches within seconds")
                return
    raise UpdateError("no other version has answered requests; see `youtu-edge model list`")


def prune(config: Config, report: Report) -> None:
    """Delete every version that is neither active nor kept for a rollback. Raises UpdateError."""
    store = store_of(config)
    with store.changing():
        for version in store.versions():
            if not store.is_linked(version.id):
                store.remove(version.id)
                report(f"removed {version.id}")
    with contextlib.suppress(UpdateError), store.downloading() as directory:  # but not a download that is running
        for path in directory.glob("*.part"):
            size = path.stat().st_size
            path.unlink()
            report(f"removed a download that had not ended, {size} bytes")


def _verify(directory: Path, config: Config, report: Report) -> Package:
    """Signature first: an untrusted manifest's checksums prove nothing."""
    if not (directory / MANIFEST).is_file():
        raise PackageError(f"no {MANIFEST}: not a model package; make one with youtu-export")
    report(check_signature(directory, config.updates))
    package = open_package(directory)
    known = {MANIFEST, SIGNATURE, *package.manifest.files}
    for path in sorted(directory.iterdir()):
        if path.name not in known:
            raise PackageError(f"{path.name}: the manifest does not list this file; leave it out of the archive")
    return package


def _check_expected(manifest: Manifest, expected: Expected | None) -> None:
    if expected and (manifest.name, manifest.release) != (expected.name, expected.release):
        raise PackageError(
            f"the archive contains release {manifest.release} of {manifest.name}, but the index says it is release "
            f"{expected.release} of {expected.name}; publish it again"
        )


def _reject_lower_release(manifest: Manifest, store: ModelStore) -> None:
    served = {target for target in (store.target(), *store.good_targets()) if target is not None}
    for version in store.versions():
        known = version.manifest
        if known is None or store.target_of(version.id) not in served or known.name != manifest.name:
            continue
        if manifest.release < known.release:
            raise PackageError(
                f"release {manifest.release} of {manifest.name} is lower than {known.release}, which is installed "
                f"({version.id}); to install it anyway, use --allow-downgrade"
            )


def _installed(store: ModelStore, manifest: Manifest) -> str | None:
    """The id of an undamaged version with the same contents, if there is one."""
    for version in store.versions():
        if version.manifest is not None and version.manifest.checksum == manifest.checksum:
            try:
                open_package(store.versions_directory / version.id)
            except PackageError:
                continue
            return version.id
    return None


def _activate(store: ModelStore, version_id: str, report: Report) -> None:
    target = store.target_of(version_id)
    store.clear_refusal(version_id)
    if store.target() == target:
        report(f"{version_id} is active already")
        return
    store.switch(target)
    report(f"{version_id} is active; a running daemon switches within seconds")


def spare_bytes(directory: Path) -> int:
    """What may be written to the file system of `directory`."""
    return max(0, shutil.disk_usage(directory).free - _RESERVE_BYTES)
