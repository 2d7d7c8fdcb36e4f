"""`youtu-edge logs [-f] [-n N] [--request ID] [--file FILE]`: the log of the service, from systemd's journal or a file."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from youtu_edge.errors import EXIT_FAILURE, EXIT_OK, YoutuEdgeError

UNIT = "youtu-edge"
_POLL_S = 0.2


def run(config_file: str | None, options: argparse.Namespace) -> int:
    """Print the last lines, with --follow also new ones; exit code 1 if there is none. Raises YoutuEdgeError."""
    wanted = _matcher(options.request)
    try:
        if options.file is None:
            return _from_journal(options, wanted)
        with open(options.file, encoding="utf-8", errors="replace") as file:
            count = _print(deque((line for line in file if wanted(line)), maxlen=options.lines))
            if options.follow:
                count += _print(line for line in _growing(file, options.file) if wanted(line))
    except OSError as error:
        raise YoutuEdgeError(f"{options.file or 'journalctl'}: cannot be read: {error.strerror or error}") from None
    except KeyboardInterrupt:  # the usual end of --follow
        return EXIT_OK
    return _result(count, options.request, options.file)


def _matcher(request: str | None) -> Callable[[str], object]:
    """Whether a line is about the request: its id stands alone, not as a part of a longer one."""
    if request is None:
        return lambda line: True
    return re.compile(rf"(?<![\w-]){re.escape(request)}(?![\w-])").search


def _from_journal(options: argparse.Namespace, wanted: Callable[[str], object]) -> int:
    if shutil.which("journalctl") is None:
        raise YoutuEdgeError("there is no journalctl here: give the file that the log was written to, with --file")
    command = ["journalctl", f"--unit={UNIT}", "--output=short-iso", "--quiet", "--no-pager"]
    # What is about one request can be anywhere in it.
    last = "all" if options.request else str(options.lines)
    count = 0
    if options.request or not options.follow:
        done = subprocess.run(
            [*command, f"--lines={last}"], stdout=subprocess.PIPE, text=True, errors="replace", check=False
        )
        if done.returncode != 0:
            raise YoutuEdgeError(f"journalctl failed with status {done.returncode}, see above")
        count = _print(deque(filter(wanted, done.stdout.splitlines(keepends=True)), maxlen=options.lines))
        last = "0"
    if options.follow:
        arguments = [*command, "--follow", f"--lines={last}"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, errors="replace") as journal:
            assert journal.stdout is not None
            count += _print(filter(wanted, journal.stdout))
    return _result(count, options.request, "the journal")


def _print(lines: Iterable[str]) -> int:
    count = 0
    for line in lines:
        print(line, end="", flush=True)
        count += 1
    return count


def _result(count: int, request: str | None, where: str) -> int:
    if count:
        return EXIT_OK
    print(f"youtu-edge: {where} has no line{f' about {request}' if request else ''}", file=sys.stderr)
    return EXIT_FAILURE


def _growing(file: TextIO, name: str) -> Iterator[str]:
    """Whole lines as they are appended; goes on in the new file when this one is rotated, at its begin when it is cut."""
    begun = ""
    while True:
        begun += file.readline()
        if begun.endswith("\n"):
            yield begun
            begun = ""
            continue
        time.sleep(_POLL_S)
        held = os.fstat(file.fileno())
        try:
            now = os.stat(name)
        except FileNotFoundError:  # between two files
            continue
        if (now.st_dev, now.st_ino) != (held.st_dev, held.st_ino):
            with open(name, encoding="utf-8", errors="replace") as following:
                yield from _growing(following, name)
        if now.st_size < file.tell():
            file.seek(0)
            begun = ""
