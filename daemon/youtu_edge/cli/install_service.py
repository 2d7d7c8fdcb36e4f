"""`youtu-edge install-service`: a systemd service for a pip installation. scripts/install calls it for its releases.

All files come from the package, and running it again changes only what differs:

    /etc/youtu-edge/*.yaml                                   kept if present; then this release's version is *.dist
    /etc/systemd/system/youtu-edge.service                   rendered from the configuration
    /etc/systemd/system/youtu-edge.service.d/50-board.conf   with --board
    /etc/sysusers.d, /etc/tmpfiles.d                         the user and the directories
    /usr/local/bin/youtu-edge                                link to the command
    /usr/local/share/bash-completion, zsh                    what Tab completes

With --root the files go below a directory, an image, and the running system is not changed: systemd creates user and
directories at the image's first boot.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from youtu_edge.cli.render_unit import UNIT, check_visible, render
from youtu_edge.config_file import load_config
from youtu_edge.errors import ConfigError, YoutuEdgeError
from youtu_edge.installation_files import CURRENT_COMMAND, installation_directory, is_checkout, service_command

_CONFIG = Path("/etc/youtu-edge/youtu-edge.yaml")
_COMPLETIONS = {
    "youtu-edge.bash": "bash-completion/completions/youtu-edge",
    "_youtu-edge": "zsh/site-functions/_youtu-edge",
}
"""Files of `completions` and their places below /usr/local/share, where the shells look."""
_NO_BOARD = "none"
_RUNNING_SYSTEMD = Path("/run/systemd/system")
"""Missing in a container, a chroot, or an image that is being built, even if systemd is installed."""


def run(board: str | None, root: str | None, *, start: bool) -> int:
    """Place the files; if `start` is set and there is a model, start or restart the service. Raises YoutuEdgeError."""
    _check_board(board)
    if root is None and os.geteuid() != 0:
        raise YoutuEdgeError("install-service needs root; use sudo, or --root DIR to build an image")
    files = _Files(Path(root).resolve() if root else Path("/"))
    command = service_command(files.root)
    if root is None:
        check_command(command)
    _install_configuration(files, board)
    # An error in the site's configuration is reported here, before the running service is touched.
    config = load_config(files.at(_CONFIG))
    unit = render(config, _CONFIG, command)
    _install_system_files(files, board, command)
    files.place(f"/etc/systemd/system/{UNIT}", unit)
    _enable(files, unit)
    if root is None and _RUNNING_SYSTEMD.is_dir():
        _systemctl("daemon-reload")
        if start:
            _start(Path(config.model.path))
    return 0


@dataclass(frozen=True)
class _Files:
    """The device's file system, mounted at `root`."""

    root: Path

    def at(self, path: Path | str) -> Path:
        return self.root / str(path).lstrip("/")

    def place(self, path: Path | str, text: str) -> None:
        """Write `text` to the file, by an atomic rename. Raises YoutuEdgeError."""
        target = self.at(path)
        part = target.with_name(f"{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, encoding="utf-8")
            part.chmod(0o644)
            part.replace(target)
        except OSError as error:
            raise YoutuEdgeError(f"{target} cannot be written: {error.strerror}") from error

    def link(self, path: Path | str, target: Path) -> None:
        """Create or replace the link to `target`, a path on the device; a file that is not a link is kept."""
        link = self.at(path)
        if link.exists() and not link.is_symlink():
            print(f"kept: {link}; it is not a link to {target}")
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def _boards() -> list[str]:
    return sorted(path.stem for path in (installation_directory("config") / "boards").glob("*.yaml"))


def _check_board(board: str | None) -> None:
    if board not in (None, _NO_BOARD, *_boards()):
        raise ConfigError(f"--board: unknown board {board}; known boards: {' '.join(_boards())}")


def check_command(command: Path) -> None:
    """The command must be installed, and visible to the service with its Python. Raises ConfigError."""
    if command == CURRENT_COMMAND:
        if is_checkout():
            raise ConfigError("this is a checkout; install the service with ./scripts/install")
        return
    check_visible("the command", command)
    check_visible("its Python", Path(sys.base_prefix))
    if not command.is_file():
        raise ConfigError(f"{command} does not exist; install youtu-edge with pip into a virtual environment first")


def _configuration_files() -> Iterator[tuple[Path, Path]]:
    """The files of this release, and their paths on the device."""
    source = installation_directory("config")
    for path in sorted(source.rglob("*.yaml")):
        yield path, _CONFIG.parent / path.relative_to(source)


def _install_configuration(files: _Files, board: str | None) -> None:
    if board not in (None, _NO_BOARD) and not files.at(_CONFIG).exists():
        what = f"# Settings that differ from boards/{board}.yaml and the defaults."
        files.place(_CONFIG, f"{what} Every key with its default: {_CONFIG.name}.dist\nextends: boards/{board}.yaml\n")
        print(f"new: {files.at(_CONFIG)}, for the board {board}")
    for source, path in _configuration_files():
        target, shipped = files.at(path), source.read_text(encoding="utf-8")
        if not target.exists():
            files.place(path, shipped)
            print(f"new: {target}")
        elif target.read_bytes() == shipped.encode():
            files.at(f"{path}.dist").unlink(missing_ok=True)
        else:
            files.place(f"{path}.dist", shipped)
            print(f"kept: {target}; this release's version is {target.name}.dist")


def _install_system_files(files: _Files, board: str | None, command: Path) -> None:
    """User, directories, the board's drop-in, the link to the command, completion."""
    source = installation_directory("systemd")
    for tool, name in (("sysusers", "sysusers.conf"), ("tmpfiles", "tmpfiles.conf")):
        target = f"/etc/{tool}.d/youtu-edge.conf"
        files.place(target, (source / name).read_text(encoding="utf-8"))
        if files.root == Path("/"):
            _call(f"systemd-{tool}", *(["--create"] if tool == "tmpfiles" else []), target)
    drop_in = f"/etc/systemd/system/{UNIT}.d/50-board.conf"
    if (source / f"board-{board}.conf").is_file():
        files.place(drop_in, (source / f"board-{board}.conf").read_text(encoding="utf-8"))
    elif board is not None:  # a board without a drop-in, or none
        files.at(drop_in).unlink(missing_ok=True)
    if command != Path("/usr/local/bin/youtu-edge"):
        files.link("/usr/local/bin/youtu-edge", command)
    for name, target in _COMPLETIONS.items():
        text = (installation_directory("completions") / name).read_text(encoding="utf-8")
        files.place(f"/usr/local/share/{target}", text)


def _enable(files: _Files, unit: str) -> None:
    if files.root == Path("/"):
        _systemctl("--quiet", "enable", UNIT)
        return
    for line in unit.splitlines():  # what `systemctl --root enable` does, for systems without it
        key, _, targets = line.partition("=")
        for target in targets.split() if key == "WantedBy" else []:
            files.link(f"/etc/systemd/system/{target}.wants/{UNIT}", Path("/etc/systemd/system") / UNIT)


def _start(model: Path) -> None:
    if not (model / "manifest.json").is_file():
        print(f"no model yet: put a package at model.path of {_CONFIG}, then: systemctl start youtu-edge")
        return
    subprocess.run(["systemctl", "reset-failed", UNIT], capture_output=True, check=False)
    try:
        _systemctl("restart", UNIT)
    except YoutuEdgeError as error:
        raise YoutuEdgeError("the service did not become ready; see: journalctl -u youtu-edge") from error
    status = subprocess.run(["systemctl", "show", "-P", "StatusText", UNIT], capture_output=True, text=True, check=False)
    print(f"ready: {status.stdout.strip()}")


def _systemctl(*arguments: str) -> None:
    _call("systemctl", *arguments)


def _call(*command: str) -> None:
    """Run a systemd command; its output goes where ours goes. Raises YoutuEdgeError."""
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError as error:
        raise YoutuEdgeError(f"{command[0]} is not installed; the service needs systemd 249 or newer") from error
    except subprocess.CalledProcessError as error:
        raise YoutuEdgeError(f"{' '.join(command)} failed, see above") from error
