"""Small files of /sys, /proc, /var and /etc that describe the board, below a configurable root, so recorded trees work too.

Sensors come and go: a file that is missing, unreadable or malformed reads as None and never raises.
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
        """Existing paths that match, sorted by the numbers in them: thermal_zone2 before thermal_zone10."""
        try:
            found = [str(path.relative_to(self._root)) for path in self._root.glob(pattern)]
        except OSError:
            return []
        return sorted(found, key=lambda name: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", name)])

    def text(self, path: str) -> str | None:
        """Contents without surrounding white space; None if the file is empty or cannot be read."""
        try:
            with (self._root / path).open("rb") as file:
                return file.read(_LARGEST).decode("utf-8", errors="replace").strip("\0 \n\t") or None
        except OSError:
            return None

    def number(self, path: str, pattern: str = r"^-?\d+$") -> int | None:
        """The whole number that `pattern` finds, or None."""
        found = re.search(pattern, self.text(path) or "")
        return int(found.group()) if found else None
