"""A package on a file server, and the command that fetches it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from updates.file_server import FileServer
from updates_support import Command
from youtu_export.__main__ import main as youtu_export


def publish(package: Path, server: FileServer, *options: str) -> None:
    """A copy, because a key signs the package too."""
    package = Path(shutil.copytree(package, server.root.parent / "package", dirs_exist_ok=True))
    assert youtu_export(["publish", str(package), str(server.root), *options]) == 0


def install(command: Command, server: FileServer, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    return command("install", server.url + path, "--ca-file", str(server.ca_file), *arguments)
