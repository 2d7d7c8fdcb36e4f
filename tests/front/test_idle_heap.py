"""The front returns heap memory freed after large bodies to the system."""

from __future__ import annotations

import gc
import os

from youtu_edge.allocator import Allocator
from youtu_edge.front.machine.idle_heap import IdleHeap
from youtu_edge.front.machine.process_memory import anonymous_bytes

MIB = 1024 * 1024


def test_free_heap_below_pieces_in_use_is_returned_but_not_all_the_time() -> None:
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


def test_what_is_in_use_at_the_first_look_is_returned_once_it_is_free() -> None:
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


def test_what_only_a_collection_frees_is_returned_without_any_work_that_would_start_one() -> None:
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
