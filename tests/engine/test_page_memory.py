"""Memory of free cache pages is returned to the system; that of all others stays."""

from __future__ import annotations

import ctypes
import itertools
import mmap

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from youtu_edge.cache_geometry import CacheGeometry
from youtu_edge.engine.kv_pages import OutOfPagesError, PagePool
from youtu_edge.engine.memory.page_memory import PageMemory, runs


def resident(memory: PageMemory) -> int:
    """Resident bytes of the arrays, from mincore(2)."""
    total = 0
    for array in memory.arrays:
        pages = -(-array.nbytes // mmap.PAGESIZE)
        vector = (ctypes.c_ubyte * pages)()
        assert ctypes.CDLL(None).mincore(ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes), vector) == 0
        total += sum(byte & 1 for byte in vector) * mmap.PAGESIZE
    return total


def test_what_is_given_back_leaves_the_process() -> None:
    """Pages of 48 KiB: all that is free is gone, all that is not keeps its rows."""
    memory = PageMemory(CacheGeometry("SEPARATE", layers=2, kv_heads=3, width=256, dtype="float16"), 40, 32)
    for array in memory.arrays:
        array[:] = 1
    full = resident(memory)
    page = sum(array[0].nbytes for array in memory.arrays)
    assert full == 40 * page
    assert memory.give_back(range(10, 40)) == 30 * page
    assert resident(memory) == full - 30 * page
    for array in memory.arrays:
        assert np.all(array[:10] == 1)
        assert np.all(array[10:] == 0)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_rows_of_pages_that_are_kept_are_never_touched(data: st.DataObject) -> None:
    """Whatever the size of a page, also where several share one of the system's."""
    heads, width = data.draw(st.sampled_from([(1, 16), (2, 16), (1, 576), (3, 64), (1, 100)]))
    page_tokens, num_pages = data.draw(st.sampled_from([16, 32])), data.draw(st.integers(1, 40))
    geometry = CacheGeometry("LATENT", layers=2, kv_heads=heads, width=width, dtype="float16")
    memory = PageMemory(geometry, num_pages, page_tokens)
    page = memory.arrays[0][0].nbytes
    for array in memory.arrays:
        array[:] = 1
    free = data.draw(st.sets(st.integers(0, num_pages - 1)))
    given_back = memory.give_back(free)
    kept = sorted(set(range(num_pages)) - free)
    zeros = 0
    for array in memory.arrays:
        assert np.all(array[kept] == 1)
        zeros += int(np.count_nonzero(array == 0)) * array.itemsize
    # Where the last page of a cache ends inside one of the system's, the rest of that system page is unused.
    assert zeros == given_back
    assert given_back <= 2 * page * len(free)
    assert given_back >= 2 * sum((last + 1 - first) * page - 2 * mmap.PAGESIZE for first, last in runs(free))


@given(st.sets(st.integers(0, 50)))
def test_runs_cover_exactly_the_numbers_and_do_not_touch(numbers: set[int]) -> None:
    """Their union is the set, and between two runs something is missing."""
    found = list(runs(numbers))
    assert {n for first, last in found for n in range(first, last + 1)} == numbers
    assert all(second[0] > first[1] + 1 for first, second in itertools.pairwise(found))


@given(st.lists(st.sampled_from(["allocate", "release", "take"]), max_size=60))
def test_a_page_is_taken_back_once_and_only_after_it_was_used(steps: list[str]) -> None:
    """take_free_and_touched names every page that was used since it was last named, and no page in use."""
    pool, used, dirty = PagePool(6, 4), list[int](), set[int]()
    for step in steps:
        if step == "allocate":
            try:
                page = pool.allocate()
            except OutOfPagesError:
                continue
            used.append(page)
            dirty.add(page)
        elif step == "release" and used:
            pool.release_page(used.pop(0))
        elif step == "take":
            taken = set(pool.take_free_and_touched())
            assert taken == dirty - set(used)
            dirty -= taken
        assert pool.num_touched == len(dirty)
        pool.check_integrity()
