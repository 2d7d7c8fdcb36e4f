"""Progress of an export: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

_PLAIN_STEPS = 10


@contextmanager
def layer_progress() -> Iterator[Callable[[int, int], None]]:
    """Yield a function (done, total) that shows how many layers are written, on standard error."""
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
