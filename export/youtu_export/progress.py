"""Progress of an export and of a download: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

_PLAIN_STEPS = 10


@contextmanager
def layer_progress() -> Iterator[Callable[[int, int], None]]:
    """Yield a function (done, total) that shows on standard error how many layers are written."""
    if not sys.stderr.isatty():
        yield _print_line
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("writing layers", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_line(done: int, total: int) -> None:
    if done == total or done % max(1, total // _PLAIN_STEPS) == 0:
        sys.stderr.write(f"layer {done} of {total}\n")
        sys.stderr.flush()


class ByteProgress:
    """Progress of a download: a bar on a terminal, a line for each tenth elsewhere."""

    def __init__(self, name: str, bar: Progress | None) -> None:
        self._name = name
        self._bar = bar
        self._task = bar.add_task(f"fetching {name}", total=None) if bar else None
        self._total = self._done = self._tenths = 0

    def expect(self, size: int) -> None:
        """Add `size` bytes to the total."""
        self._total += size
        self._show()

    def advance(self, size: int) -> None:
        """Add `size` bytes, which may be negative, to what is done."""
        self._done += size
        self._show()

    def _show(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, total=self._total or None)
            return
        tenths = self._done * _PLAIN_STEPS // self._total if self._total else 0
        if tenths > self._tenths:
            self._tenths = tenths
            sys.stderr.write(f"fetched {self._done / 1e6:.1f} of {self._total / 1e6:.1f} MB of {self._name}\n")
            sys.stderr.flush()


@contextmanager
def byte_progress(name: str) -> Iterator[ByteProgress]:
    """Yield the progress of fetching `name`, on standard error."""
    if not sys.stderr.isatty():
        yield ByteProgress(name, None)
        return
    text = TextColumn("{task.description}")
    columns = (text, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield ByteProgress(name, bar)
