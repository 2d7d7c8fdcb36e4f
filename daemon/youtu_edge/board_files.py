"""Small files of /sys, /proc, /var and /etc that tell about the board, below a root of choice: recorded trees can be read.

Sensors come and go: a file that is missing, unreadable or of another form reads as None, never as an error.
"""

from __future__ import annotations

import re
from pathlib import Path

_LARGEST = 64 * 1024


class BoardFiles:
    """The files below `root` ("/" on a real board). Paths are relative to it and may contain wildcards."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def glob(self, pattern: str) -> list[str]:
        """Existing paths that match, in the order of the numbers in them: thermal_zone2 before thermal_zone10."""
        try:
            found = [str(path.relative_to(self._root)) for path in self._root.glob(pattern)]
        except OSError:
            return []
        return sorted(found, key=lambda name: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", name)])

    def text(self, path: str) -> str | None:
        """Contents without surrounding white space; None for an empty file, too."""
        try:
            with (self._root / path).open("rb") as file:
                return file.read(_LARGEST).decode("utf-8", errors="replace").strip("\0 \n\t") or None
        except OSError:
            return None

    def number(self, path: str, pattern: str = r"^-?\d+$") -> int | None:
        """The whole number that `pattern` finds, or None."""
        found = re.search(pattern, self.text(path) or "")
        return int(found.group()) if found else None
