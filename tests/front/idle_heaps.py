"""What test_idle_heap.py checks, in a process whose heap nobody else has used: `python -m front.idle_heaps NAME`."""

from __future__ import annotations

import gc
import os
import sys

from youtu_edge.allocator import Allocator
from youtu_edge.front.machine.idle_heap import IdleHeap
from youtu_edge.front.machine.process_memory import anonymous_bytes

MIB = 1024 * 1024


def free_below_pieces_in_use() -> None:
    """64 MiB in pieces that the C library keeps when they are freed, with one in use above them."""
    now = 0.0
    heap = IdleHeap(Allocator(), 5.0, lambda: now)
    pieces = [b"x" * (100 * 1024) for _ in range(640)]
    last = b"x" * (100 * 1024)
    del pieces
    before = anonymous_bytes(os.getpid())
    heap.look()
    assert anonymous_bytes(os.getpid()) > before - 16 * MIB  # 5 s have not passed
    now = 6.0
    heap.look()
    assert anonymous_bytes(os.getpid()) < before - 48 * MIB
    assert last


def in_use_at_the_first_look() -> None:
    """A look in the middle of a large request finds nothing to return, and nothing grows after it."""
    now = 0.0
    heap = IdleHeap(Allocator(), 5.0, lambda: now)
    pieces = [b"x" * (100 * 1024) for _ in range(640)]
    last = b"x" * (100 * 1024)
    now = 6.0
    heap.look()
    before = anonymous_bytes(os.getpid())
    del pieces
    heap.look()
    assert anonymous_bytes(os.getpid()) > before - 16 * MIB  # it has just looked
    now = 20.0
    heap.look()
    assert anonymous_bytes(os.getpid()) < before - 48 * MIB
    assert last


def freed_by_a_collection() -> None:
    """As an error whose traceback holds the body that was refused, and itself."""
    now = 0.0
    heap = IdleHeap(Allocator(), 5.0, lambda: now)
    gc.collect()
    circle: list[object] = [b"x" * (100 * 1024) for _ in range(640)]
    circle.append(circle)
    last = b"x" * (100 * 1024)
    before = anonymous_bytes(os.getpid())
    del circle
    now = 6.0
    heap.look()
    assert anonymous_bytes(os.getpid()) < before - 48 * MIB
    assert last


SCENARIOS = {each.__name__: each for each in (free_below_pieces_in_use, in_use_at_the_first_look, freed_by_a_collection)}

if __name__ == "__main__":
    SCENARIOS[sys.argv[1]]()
