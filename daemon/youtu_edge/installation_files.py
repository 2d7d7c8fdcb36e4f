"""Files that make a service of the daemon: its unit, users and directories, the configuration with its boards and profiles.

A wheel brings them in `youtu_edge/share/`; in a checkout they lie at its top.
"""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

from youtu_edge.errors import YoutuEdgeError

CURRENT_COMMAND = Path("/opt/youtu-edge/current/bin/youtu-edge")
"""The command of the release that scripts/install has made the current one."""

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]
_RELEASE = re.compile(r"/opt/youtu-edge/releases/[^/]+/")


def is_checkout() -> bool:
    """Whether the code that runs lies in a checkout, and not where a wheel was installed."""
    return (_CHECKOUT / "systemd" / "youtu-edge.service").is_file() and (_CHECKOUT / "pyproject.toml").is_file()


def installation_directory(name: str) -> Path:
    """The directory `config` or `systemd`. Raises YoutuEdgeError if the installation lacks it."""
    directory = (_CHECKOUT if is_checkout() else _PACKAGE / "share") / name
    if not directory.is_dir():
        raise YoutuEdgeError(f"{directory} does not exist; install youtu-edge again")
    return directory


def service_command(root: Path = Path("/")) -> Path:
    """The path of `youtu-edge` as the service on the device calls it.

    `root`: where the device's file system lies now. A release of scripts/install is called through `current`, so that one
    link switches it; no service calls a checkout, so it stands for the release that is installed; every other environment
    is called where it lies.
    """
    own = Path(sysconfig.get_path("scripts")) / "youtu-edge"
    if is_checkout() or _RELEASE.search(str(own)):
        return CURRENT_COMMAND
    resolved = own.parent.resolve() / own.name
    return Path("/") / resolved.relative_to(root) if root != Path("/") and resolved.is_relative_to(root) else own
