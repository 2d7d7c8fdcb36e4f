"""The page pool against a model without a tree: only computed rows are shared."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from youtu_edge.engine.kv_pages import OutOfPagesError, PagePool, common_prefix

PAGE = 16


def fill(pool: PagePool, tokens: list[int]) -> list[int]:
    """Allocate pages for `tokens` without reuse."""
    return [pool.allocate() for _ in range(-(-len(tokens) // pool.page_tokens))]


def test_a_prefix_is_found_again_at_token_granularity() -> None:
    """Full pages are shared, and the rows of one page more can be copied."""
    pool = PagePool(8, PAGE)
    tokens = list(range(40))
    pages = fill(pool, tokens)
    owned = list(pages)
    pool.release(pages, tokens, 0)
    match = pool.match([*range(37), 99, 98])
    assert match.pages == owned[:2]
    assert (match.copy_from, match.rows, match.num_tokens) == (owned[2], 5, 37)
    pool.check_integrity()


def test_the_last_token_is_always_computed() -> None:
    """A prompt that is known entirely still leaves one token to run, because its logits are needed."""
    pool = PagePool(8, PAGE)
    tokens = list(range(32))
    pool.release(fill(pool, tokens), tokens, 0)
    match = pool.match(tokens)
    assert match.num_tokens == 31
    assert len(match.pages) == 1
    assert match.rows == 15


def test_two_sequences_that_computed_the_same_page_end_up_sharing_it() -> None:
    """The second one's copy is freed when it is published."""
    pool = PagePool(8, PAGE)
    tokens = list(range(16))
    first, second = fill(pool, tokens), fill(pool, tokens)
    pool.publish(first, tokens, 0)
    pool.publish(second, tokens, 0)
    assert first == second
    assert pool.num_used == 1
    pool.check_integrity()


def test_the_least_recently_used_prefix_goes_first() -> None:
    """Eviction takes the oldest cached page, and a used page never."""
    pool = PagePool(2, PAGE)
    for start in (0, 100):
        tokens = list(range(start, start + 16))
        pool.release(fill(pool, tokens), tokens, 0)
    kept = pool.match([*range(100, 116), 0])
    pool.allocate()
    assert pool.match([*range(16), 0]).num_tokens == 0
    assert kept.num_tokens == 16
    with pytest.raises(OutOfPagesError):
        pool.allocate()


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(2, 12), st.integers(1, 60))
def test_random_lives_never_share_what_was_not_computed(rng: random.Random, num_pages: int, operations: int) -> None:
    """Whatever the order of requests, a matched row was written for exactly that prefix and not overwritten since."""
    pool = PagePool(num_pages, 4)
    rows: dict[int, list[tuple[int, ...]]] = {}  # page -> prefix that each row was computed for
    live: list[tuple[list[int], list[int], int]] = []

    def write(pages: list[int], tokens: list[int], begin: int) -> None:
        for position in range(begin, len(tokens)):
            page = rows.setdefault(pages[position // 4], [()] * 4)
            page[position % 4] = tuple(tokens[: position + 1])

    for _ in range(operations):
        if live and rng.random() < 0.5:
            pages, tokens, published = live.pop(rng.randrange(len(live)))
            pool.release(pages, tokens, published)
        else:
            tokens = [rng.randrange(3) for _ in range(rng.randrange(2, 20))]
            match = pool.match(tokens)
            pages = list(match.pages)
            for index, page in enumerate(pages):
                assert rows[page] == [tuple(tokens[: index * 4 + row + 1]) for row in range(4)]
            try:
                if match.copy_from is not None:
                    fresh = pool.allocate()
                    pages.append(fresh)
                    rows[fresh] = list(rows[match.copy_from])
                    begin = len(match.pages) * 4
                    assert rows[fresh][: match.rows] == [tuple(tokens[: begin + row + 1]) for row in range(match.rows)]
                    pool.release_page(match.copy_from)
                    match = type(match)(match.pages, None, 0, match.num_tokens)
                while len(pages) * 4 < len(tokens):
                    pages.append(pool.allocate())
            except OutOfPagesError:
                if match.copy_from is not None:
                    pool.release_page(match.copy_from)
                    pool.release(pages, tokens[: len(match.pages) * 4], len(match.pages))
                else:
                    pool.release(pages, tokens[: match.num_tokens], len(match.pages))
                pool.check_integrity()
                continue
            write(pages, tokens, match.num_tokens)
            published = pool.publish(pages, tokens, len(match.pages)) if rng.random() < 0.7 else len(match.pages)
            live.append((pages, tokens, published))
        pool.check_integrity()
    for pages, tokens, published in live:
        pool.release(pages, tokens, published)
    assert pool.num_used == 0
    pool.drop_cached()
    assert pool.num_free == num_pages
    pool.check_integrity()


def test_common_prefix_counts_equal_leading_tokens() -> None:
    """It stops at the first difference or at the shorter end."""
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([1, 2], [1, 2, 3]) == 2
    assert common_prefix([], [1]) == 0


def test_pinned_pages_are_never_evicted() -> None:
    """A pinned prefix is found again after everything else was evicted many times."""
    pool = PagePool(6, PAGE)
    tokens = list(range(40))
    pool.release(fill(pool, tokens), tokens, 0)
    assert pool.pin(tokens) == 40
    assert pool.num_pinned == 3
    for number in range(10):
        other = [100 + number] * 3 * PAGE
        pool.release(fill(pool, other), other, 0)
        pool.check_integrity()
    with pytest.raises(OutOfPagesError):
        fill(pool, [0] * 4 * PAGE)
    assert pool.match([*tokens, 99]).num_tokens == 40
