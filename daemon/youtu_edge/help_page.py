"""The page that `--help` shows around the options of a command."""

from __future__ import annotations

from typing import NamedTuple

WRONG_USAGE = (2, "the command line is wrong; nothing was done")
BAD_CONFIG = (78, "the configuration cannot be used; the message names file and key")


class HelpPage(NamedTuple):
    """What a command does, how it is typed, and how it ends."""

    text: str
    examples: tuple[str, ...]
    exit_codes: tuple[tuple[int, str], ...] = ()
    """Code and meaning, without those that `end` adds; empty: the command has actions, which have their own."""

    def end(self, *, reads_config: bool) -> str:
        """Examples and exit codes, as they stand below the options."""
        parts = ["examples:", *(f"  {example}" for example in self.examples)]
        if self.exit_codes:
            codes = dict([*self.exit_codes, WRONG_USAGE])
            if reads_config:
                codes.setdefault(*BAD_CONFIG)
            parts += ["", "exit codes:", *(f"  {code:<3} {codes[code]}" for code in sorted(codes))]
        return "\n".join(parts)
