"""The installed versions of the model, and the links that say which one is served.

    STORE/current       -> versions/ID    model.path: what the daemon serves
          last-good     -> versions/ID    the newest version that has answered a request
          former-good   -> versions/ID    the one that was last-good before it
          versions/ID/                    a package; ID is its name and the first digits of the manifest's checksum
          versions/.incoming-*            an installation that is in progress or was interrupted
          refused/ID                      why the daemon rolled back from this version
          downloads/                      what `model install https://…` has fetched so far
          update.json                     what became of the last of these commands
          lock                            held by the command that changes the store

Every change is an atomic rename with fsync: a power cut leaves the old or the new state. The daemon also switches links,
but without the lock, which a rename does not need. A link may also lead to a package outside the store, which is served
like any other and never deleted.
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
_VERSIONS, _REFUSED, _DOWNLOADS, _LOCK = "versions", "refused", "downloads", "lock"
_INCOMING = ".incoming-"
_NEW_LINK = ".new-link-"
_STALE_S = 60.0
"""A temporary link that is older was left by a power cut; a younger one may be the daemon's."""


@dataclass(frozen=True)
class Version:
    """One installed package. `manifest` is None if it cannot be read; `problem` says why."""

    id: str
    manifest: Manifest | None
    problem: str = ""
    refused: str = ""
    """Why the daemon rolled back from it; empty if it never did."""


class ModelStore:
    """The directory around the link `model.path`. A target is a link's text, such as versions/NAME-0123456789ab."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.root = link.parent
        self.versions_directory = self.root / _VERSIONS

    @staticmethod
    def around(model_path: str | os.PathLike[str]) -> ModelStore | None:
        """The store whose link is `model_path`; None if that is a package itself."""
        link = Path(os.path.abspath(model_path))
        try:
            return None if link.is_dir() and not link.is_symlink() else ModelStore(link)
        except PermissionError:  # reported when the package is opened
            return None

    def target(self, name: str | None = None) -> str | None:
        """The target of the link `name` (None: the served one); None if there is no such link."""
        try:
            return os.readlink(self.root / name if name else self.link)
        except OSError:
            return None

    def directory(self, target: str) -> Path:
        """The directory of a target."""
        return self.root / target

    def switch(self, target: str, name: str | None = None) -> None:
        """Point the link (None: the served one) at `target`, atomically and durably. Raises OSError."""
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
        """Record that a version has answered a request. Raises OSError."""
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
        """Record for the technician why the daemon rolled back from a version. Raises OSError."""
        (self.root / _REFUSED).mkdir(exist_ok=True)
        (self.root / _REFUSED / Path(target).name).write_text(" ".join(reason.split()) + "\n", encoding="utf-8")

    def refusal(self, version_id: str) -> str:
        """The reason that `refuse` recorded, or ""."""
        try:
            return (self.root / _REFUSED / version_id).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def clear_refusal(self, version_id: str) -> None:
        """Delete the reason that `refuse` recorded, because the version is to be tried again."""
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
        """The version with this id, or the only one whose id begins with it. Raises UpdateError."""
        found = [version for version in self.versions() if version.id.startswith(wanted)]
        exact = [version for version in found if version.id == wanted]
        if len(exact or found) != 1:
            how = "ambiguous" if found else "not installed"
            raise UpdateError(f"{wanted}: {how}; `youtu-edge model list` shows the installed versions")
        return (exact or found)[0]

    def target_of(self, version_id: str) -> str:
        """The link text of an installed version."""
        return f"{_VERSIONS}/{version_id}"

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock, create the directories and remove what a power cut left. Raises UpdateError."""
        with self._writing(self.versions_directory, self.root / _LOCK, "is running"):
            self._clear_leftovers()
            yield

    @contextlib.contextmanager
    def _writing(self, directory: Path, lock_file: Path, what: str) -> Iterator[None]:
        try:
            self._make_directory(directory)
            # Opened for reading, so that root and the daemon's user can each lock a file that the other created.
            with open(os.open(lock_file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644), "rb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise UpdateError(f"{self.root}: another youtu-edge model command {what}; wait for it") from None
                yield
        except PermissionError as error:
            raise UpdateError(
                f"{error.filename or self.root}: permission denied; run the command as its owner or as root"
            ) from None

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """A new directory on the store's file system; deleted at the end, with what is still in it."""
        directory = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self.versions_directory))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def add(self, package: Path, manifest: Manifest) -> str:
        """Move a complete, verified directory of `incoming` into place; returns its id. Raises OSError."""
        for path in package.rglob("*"):
            sync(path)
        package.chmod(0o755)  # mkdtemp's 0700 would lock the daemon's user out
        sync(package)
        for version_id in self.ids_for(manifest):
            if not os.path.lexists(self.versions_directory / version_id):
                package.rename(self.versions_directory / version_id)
                sync(self.versions_directory)
                self.clear_refusal(version_id)
                return version_id
        raise AssertionError("the ids never end")

    def ids_for(self, manifest: Manifest) -> Iterator[str]:
        """The id of a package, then further ones for a fresh copy while a damaged one is still linked."""
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", manifest.name).strip(".-")[:48] or "model"
        first = f"{name}-{manifest.checksum[:12]}"
        yield first
        yield from (f"{first}.{number}" for number in itertools.count(2))

    def remove(self, version_id: str) -> None:
        """Delete a version: moved away by one rename, then deleted file by file."""
        trash = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self.versions_directory))
        (self.versions_directory / version_id).rename(trash / version_id)
        sync(self.versions_directory)
        shutil.rmtree(trash, ignore_errors=True)
        self.clear_refusal(version_id)

    def is_linked(self, version_id: str) -> bool:
        """Whether a link leads to this version."""
        return self.target_of(version_id) in (self.target(), *self.good_targets())

    @contextlib.contextmanager
    def downloading(self) -> Iterator[Path]:
        """The directory for downloads, with a lock of its own: a rollback does not wait for one. Raises UpdateError."""
        directory = self.root / _DOWNLOADS
        with self._writing(directory, directory / _LOCK, "downloads already"):
            yield directory

    def _make_directory(self, wanted: Path) -> None:
        """Root installs, but the daemon's user switches links: new directories inherit the owner of their parent."""
        for path in (*reversed(wanted.parents), wanted):
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
