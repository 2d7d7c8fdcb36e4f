"""The installed versions of the model, and the links that say which one is served.

    STORE/current       -> versions/ID    model.path: what the daemon serves
          last-good     -> versions/ID    the newest version that has answered a request
          former-good   -> versions/ID    the one that was last-good before it
          versions/ID/                    a package; ID is its name and the first digits of the manifest's checksum
          versions/.incoming-*            an installation that was cut off, or is running
          refused/ID                      why the daemon went back from this version
          lock                            held by the command that changes the store

Every change is one rename, forced to the disk, so that a power cut leaves the old state or the new one. The daemon switches
links, too, and takes no lock for it: a rename over a link needs none. A link may also lead to a package outside of the
store; it is served like any other and never deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from youtu_edge.errors import PackageError, UpdateError
from youtu_edge.file_digest import sync
from youtu_edge.package import Manifest, read_manifest

LAST_GOOD = "last-good"
FORMER_GOOD = "former-good"
_VERSIONS, _REFUSED, _LOCK = "versions", "refused", "lock"
_INCOMING = ".incoming-"
_NEW_LINK = ".new-link-"
_STALE_S = 60.0
"""A link that waits for its rename longer than that was left by a power cut; the daemon may be making a younger one."""


@dataclass(frozen=True)
class Version:
    """One installed package. `manifest` is None when it cannot be read; `problem` tells why."""

    id: str
    manifest: Manifest | None
    problem: str = ""
    refused: str = ""
    """Why the daemon went back from it; empty if it never did."""


class ModelStore:
    """The directory around the link `model.path`. A target is a link's text, such as versions/NAME-0123456789ab."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.root = link.parent
        self.versions_directory = self.root / _VERSIONS

    @staticmethod
    def around(model_path: str | os.PathLike[str]) -> ModelStore | None:
        """The store that `model_path` is the link of; None when it is a package itself."""
        link = Path(os.path.abspath(model_path))
        try:
            return None if link.is_dir() and not link.is_symlink() else ModelStore(link)
        except PermissionError:  # whoever opens the package says so
            return None

    def target(self, name: str | None = None) -> str | None:
        """What the link `name` says (None: the served one), or None without such a link."""
        try:
            return os.readlink(self.root / name if name else self.link)
        except OSError:
            return None

    def directory(self, target: str) -> Path:
        """Where a target leads."""
        return self.root / target

    def switch(self, target: str, name: str | None = None) -> None:
        """Let the link (None: the served one) say `target`, at once and for good. Raises OSError."""
        link = self.root / name if name else self.link
        for number in itertools.count():
            temporary = self.root / f"{_NEW_LINK}{os.getpid()}-{number}"
            with contextlib.suppress(FileExistsError):
                temporary.symlink_to(target)
                break
        try:
            temporary.rename(link)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync(self.root)

    def mark_good(self, target: str) -> None:
        """Remember that a version answered. Raises OSError."""
        known = self.target(LAST_GOOD)
        if known != target:
            if known is not None:
                self.switch(known, FORMER_GOOD)
            self.switch(target, LAST_GOOD)

    def good_targets(self) -> list[str]:
        """Versions that have answered, the newest first."""
        found = [self.target(LAST_GOOD), self.target(FORMER_GOOD)]
        return list(dict.fromkeys(target for target in found if target is not None))

    def refuse(self, target: str, reason: str) -> None:
        """Note for the technician why the daemon went back from a version. Raises OSError."""
        (self.root / _REFUSED).mkdir(exist_ok=True)
        (self.root / _REFUSED / Path(target).name).write_text(" ".join(reason.split()) + "\n", encoding="utf-8")

    def refusal(self, version_id: str) -> str:
        """The note of `refuse`, or nothing."""
        try:
            return (self.root / _REFUSED / version_id).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def forgive(self, version_id: str) -> None:
        """Take the note of `refuse` away: somebody wants it to be tried again."""
        (self.root / _REFUSED / version_id).unlink(missing_ok=True)

    def versions(self) -> list[Version]:
        """All installed versions by id, the unreadable ones too."""
        try:
            names = sorted(path.name for path in self.versions_directory.iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UpdateError(f"{self.versions_directory}: cannot be read: {error.strerror}") from None
        return [self._version(name) for name in names]

    def find(self, wanted: str) -> Version:
        """The version of this id, or the only one whose id begins so. Raises UpdateError."""
        found = [version for version in self.versions() if version.id.startswith(wanted)]
        exact = [version for version in found if version.id == wanted]
        if len(exact or found) != 1:
            how = "ambiguous" if found else "not installed"
            raise UpdateError(f"{wanted}: {how}; `youtu-edge model list` shows what is there")
        return (exact or found)[0]

    def target_of(self, version_id: str) -> str:
        """The link text of an installed version."""
        return f"{_VERSIONS}/{version_id}"

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock and clear away what a power cut left. Makes the directories. Raises UpdateError."""
        try:
            self._make_directories()
            # For reading, so that root and the daemon's user can both lock a file that the other one made.
            with open(os.open(self.root / _LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644), "rb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise UpdateError(f"{self.root}: another youtu-edge model command is running; wait for it") from None
                self._clear_leftovers()
                yield
        except PermissionError as error:
            raise UpdateError(
                f"{error.filename or self.root}: permission denied; run the command as its owner or as root"
            ) from None

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """A new directory on the store's file system; what is still in it at the end is deleted."""
        directory = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self.versions_directory))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def add(self, package: Path, manifest: Manifest) -> str:
        """Give a complete, verified directory of `incoming` its place; returns its id. Raises OSError."""
        for path in package.rglob("*"):
            sync(path)
        package.chmod(0o755)  # mkdtemp's 0700 would lock the daemon's user out
        sync(package)
        for version_id in self.ids_for(manifest):
            if not os.path.lexists(self.versions_directory / version_id):
                package.rename(self.versions_directory / version_id)
                sync(self.versions_directory)
                self.forgive(version_id)
                return version_id
        raise AssertionError("the ids never end")

    def ids_for(self, manifest: Manifest) -> Iterator[str]:
        """The id of a package; further ones serve a fresh copy while a damaged one is still linked to."""
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", manifest.name).strip(".-")[:48] or "model"
        first = f"{name}-{manifest.checksum[:12]}"
        yield first
        yield from (f"{first}.{number}" for number in itertools.count(2))

    def remove(self, version_id: str) -> None:
        """Delete a version: out of sight in one rename, then file by file."""
        trash = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self.versions_directory))
        (self.versions_directory / version_id).rename(trash / version_id)
        sync(self.versions_directory)
        shutil.rmtree(trash, ignore_errors=True)
        self.forgive(version_id)

    def is_linked(self, version_id: str) -> bool:
        """Whether a link leads to this version."""
        return self.target_of(version_id) in (self.target(), *self.good_targets())

    def _make_directories(self) -> None:
        """Root installs, but the daemon's user switches links: the directories get the owner of what is above them."""
        for path in (*reversed(self.versions_directory.parents), self.versions_directory):
            if path.exists():
                continue
            path.mkdir()
            if os.geteuid() == 0:
                above = path.parent.stat()
                os.chown(path, above.st_uid, above.st_gid)

    def _version(self, name: str) -> Version:
        try:
            return Version(name, read_manifest(self.versions_directory / name), refused=self.refusal(name))
        except PackageError as error:
            return Version(name, None, problem=error.message, refused=self.refusal(name))

    def _clear_leftovers(self) -> None:
        for path in self.versions_directory.glob(f"{_INCOMING}*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self.root.glob(f"{_NEW_LINK}*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.lstat().st_mtime > _STALE_S:
                    path.unlink()
