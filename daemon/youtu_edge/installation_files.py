"""The files that install the daemon as a service: unit, users, directories, configuration with its boards and profiles,
completion in shells.

A wheel has them in `youtu_edge/share/`, a checkout at its top level.
"""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

from youtu_edge.errors import YoutuEdgeError

CURRENT_COMMAND = Path("/opt/youtu-edge/current/bin/youtu-edge")
"""The command of the release that scripts/install made current."""

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]
_RELEASE = re.compile(r"/opt/youtu-edge/releases/[^/]+/")


def is_checkout() -> bool:
    """Whether this code runs from a checkout and not from an installed wheel."""
    return (_CHECKOUT / "systemd" / "youtu-edge.service").is_file() and (_CHECKOUT / "pyproject.toml").is_file()


def installation_directory(name: str) -> Path:
    """The directory `completions`, `config` or `systemd`. Raises YoutuEdgeError if the installation lacks it."""
    directory = (_CHECKOUT if is_checkout() else _PACKAGE / "share") / name
    if not directory.is_dir():
        raise YoutuEdgeError(f"{directory} does not exist; install youtu-edge again")
    return directory


def service_command(root: Path = Path("/")) -> Path:
    """The path of `youtu-edge` as the service on the device calls it.

    `root`: where the device's file system is mounted. A release of scripts/install is called through `current`, so that
    one link switches it. Services do not run from a checkout, so a checkout stands for the installed release. Any other
    environment is called by its own path.
    """
    own = Path(sysconfig.get_path("scripts")) / "youtu-edge"
    if is_checkout() or _RELEASE.search(str(own)):
        return CURRENT_COMMAND
    resolved = own.parent.resolve() / own.name
    return Path("/") / resolved.relative_to(root) if root != Path("/") and resolved.is_relative_to(root) else own
