"""`youtu-edge status [--watch [SECONDS]] [--url URL] [--json]`: what the running daemon does, on one screen.

Exit code 0: it is ready and accepts a request, 1: it is or does not, 69: nobody answers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from typing import Any

from youtu_edge.cli.configured_client import configured_client
from youtu_edge.cli.daemon_client import DaemonClient
from youtu_edge.cli.status_request import ask_status
from youtu_edge.cli.status_screen import is_ready, screen
from youtu_edge.errors import EXIT_FAILURE, EXIT_NOT_AVAILABLE, EXIT_OK, UnavailableError, one_line


def run(config_file: str | None, options: argparse.Namespace) -> int:
    """Print one screen, or with --watch one every so many seconds until Ctrl-C. Raises YoutuEdgeError."""
    client = configured_client(config_file, options)
    if options.watch is not None:
        return _watch(client, options.watch, as_json=options.json)
    try:
        document = ask_status(client).document
    except UnavailableError as error:
        print(f"youtu-edge: {one_line(error.message)}", file=sys.stderr)
        return EXIT_NOT_AVAILABLE
    print(json.dumps(document, ensure_ascii=False, indent=2) if options.json else "\n".join(screen(document, client.url)))
    return EXIT_OK if is_ready(document) else EXIT_FAILURE


def _watch(client: DaemonClient, seconds: float, *, as_json: bool) -> int:
    """Goes on while nobody answers, because a daemon may be restarting. The exit code is that of the last screen."""
    before: dict[str, Any] | None = None
    code = EXIT_FAILURE  # if it is stopped before the first answer
    try:
        while True:
            try:
                document = ask_status(client).document
            except UnavailableError as error:
                before, code, lines = None, EXIT_NOT_AVAILABLE, [one_line(error.message)]
                if as_json:
                    print(f"youtu-edge: {lines[0]}", file=sys.stderr, flush=True)
            else:
                code, lines = EXIT_OK if is_ready(document) else EXIT_FAILURE, screen(document, client.url, before)
                before = document
                if as_json:
                    print(json.dumps(document, ensure_ascii=False), flush=True)
            if not as_json:
                show(lines)
            time.sleep(seconds)
    except KeyboardInterrupt:  # the usual end
        return code


def show(lines: list[str]) -> None:
    """Print: in a terminal in place of the previous screen, else below it."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        columns, rows = shutil.get_terminal_size()
        shown = "\n".join(line[:columns] for line in lines[: rows - 1])
        print(f"\x1b[H\x1b[J{shown}", flush=True)
    else:
        print("\n".join([*lines, ""]), flush=True)
