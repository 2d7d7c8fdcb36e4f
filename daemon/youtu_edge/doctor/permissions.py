"""Whether the service's user may read and write what it needs, checked by access(2) in a process of that user."""

from __future__ import annotations

import json
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from youtu_edge.doctor.finding import Finding, Level, fail, ok, warn
from youtu_edge.doctor.surroundings import Surroundings
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.package import MANIFEST, read_manifest

_CREDENTIALS = "/run/credentials"
"""systemd passes these to the service whatever their permissions."""
_READ, _LIST, _WRITE, _CHANGE = os.R_OK, os.R_OK | os.X_OK, os.R_OK | os.W_OK, os.R_OK | os.W_OK | os.X_OK


class _Need(NamedTuple):
    path: Path
    mode: int
    level: Level
    otherwise: str
    """The consequence if it is denied."""


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Missing files are reported by other examinations."""
    us, them = _ourselves(), surroundings.user
    try:
        user = pwd.getpwnam(them) if them else us
    except KeyError:
        yield fail(f"there is no user {them}; `sudo youtu-edge install-service` creates it, --user selects another one")
        return
    if us.pw_uid not in (0, user.pw_uid):
        yield warn(f"checked as {us.pw_name}; only root can check as {user.pw_name}: sudo youtu-edge doctor")
        user = us
    needs = list(_needs(surroundings))
    found: dict[str, _Need] = {}
    for need, place in zip(needs, _denying(needs, user), strict=True):
        if place:
            found.setdefault(place, need)  # everything else below it would repeat this line
    for place, need in found.items():
        verb = "write" if need.mode & os.W_OK else "read"
        yield Finding(
            need.level, f"{need.path}: {user.pw_name} cannot {verb} it: {need.otherwise}; {_cure(Path(place), user)}"
        )
    if not found:
        yield ok(f"{user.pw_name} may read and write what the service needs")


def _ourselves() -> pwd.struct_passwd:
    """A container may run with an id that no passwd file names."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return pwd.struct_passwd((str(uid), "x", uid, os.getegid(), "", "/", ""))


def _needs(surroundings: Surroundings) -> Iterator[_Need]:
    config, model = surroundings.config, Path(surroundings.config.model.path)
    if surroundings.config_file:
        yield _Need(surroundings.config_file, _READ, "fail", "the service cannot start")
    yield _Need(model, _LIST, "fail", "the model cannot be loaded")
    yield _Need(model / MANIFEST, _READ, "fail", "the model cannot be loaded")
    try:
        names = list(read_manifest(model).files)
    except YoutuEdgeError:
        names = []
    for name in names:
        yield _Need(model / name, _READ, "fail", "the model cannot be loaded")
    if model.is_symlink():
        yield _Need(model.parent, _CHANGE, "warn", "no version can be installed or rolled back")
    for name in (config.service.keys_file, config.service.tls_certificate, config.service.tls_key):
        if name and not name.startswith(_CREDENTIALS):
            yield _Need(Path(name), _READ, "fail", "the service cannot start")
    if config.storage.directory:
        directory, lost = Path(config.storage.directory), "everything is kept in memory and lost on restart"
        yield _Need(directory if directory.exists() else directory.parent, _CHANGE, "fail", lost)
        for path in directory.glob("*.db*"):
            yield _Need(path, _WRITE, "fail", lost)


def _denying(needs: list[_Need], user: pwd.struct_passwd) -> list[str]:
    """For each need the file or directory that denies it, or ""."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if user.pw_uid != os.geteuid():
                os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
                os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
                os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
            with os.fdopen(writing, "w") as answer:
                json.dump([_denying_path(need) for need in needs], answer)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        text = answers.read()
    os.waitpid(child, 0)
    if not text:
        raise RuntimeError(f"cannot run a process as {user.pw_name}")
    found: list[str] = json.loads(text)
    return found


def _denying_path(need: _Need) -> str:
    path = need.path.absolute()
    for place in reversed(path.parents):
        if place.is_dir() and not os.access(place, os.X_OK):
            return str(place)
    mode = need.mode if path.is_dir() else need.mode & ~os.X_OK
    return str(path) if os.access(path, os.F_OK) and not os.access(path, mode) else ""


def _cure(place: Path, user: pwd.struct_passwd) -> str:
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return "its file system is read-only (`dmesg` may say why)"
    found = place.stat()
    try:
        owner = pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        owner = str(found.st_uid)
    is_ours = found.st_uid == user.pw_uid
    cure = f"sudo chmod -R u+rwX {place}" if is_ours else f"sudo chown -R {user.pw_name}: {place}, or move it elsewhere"
    return f"{place} is owned by {owner}, mode {stat.S_IMODE(found.st_mode):04o}: {cure}"
