"""Which process listens on a port already. Reads /proc, where it may see only its own user's processes."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_LISTENING = "0A"


def port_holder(port: int, proc: Path = Path("/proc")) -> str:
    """Such as "youtu-edge serve (pid 123)"; "" if unknown."""
    inodes = set().union(*(_listening_inodes(proc / "net" / name, port) for name in ("tcp", "tcp6")))
    if not inodes:
        return ""
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for process in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(os.readlink(link) in sockets for link in (process / "fd").iterdir()):
                return f"{_command(process)} (pid {process.name})"
    return ""


def _listening_inodes(table: Path, port: int) -> set[str]:
    try:
        rows = [row.split() for row in table.read_text().splitlines()[1:]]
    except OSError:
        return set()
    return {row[9] for row in rows if row[3] == _LISTENING and row[1].endswith(f":{port:04X}")}


def _command(process: Path) -> str:
    """The program, and its subcommand if it has one; further arguments may be private."""
    words = [word for word in (process / "cmdline").read_bytes().decode(errors="replace").split("\0") if word]
    if len(words) > 1 and re.search(r"(^|/)python[0-9.]*$", words[0]):
        words = words[2:] if words[1] == "-m" else words[1:]
    program = Path(words[0]).name if words else (process / "comm").read_text().strip()
    shown = [program, *(word for word in words[1:2] if re.fullmatch(r"[a-z-]{2,20}", word) and not word.startswith("-"))]
    return re.sub(r"[^ -~]", "?", " ".join(shown))[:60]
