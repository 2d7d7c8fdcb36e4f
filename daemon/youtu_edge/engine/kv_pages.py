"""The page pool: reference counts of the KV cache's pages, and the index of reusable prefixes.

    pages = free  +  used (referenced by a sequence)  +  cached (unreferenced, but in the prefix index)

The prefix index is a tree of pages: a node is one page with the tokens whose rows it holds; its parent is the preceding
page. A new sequence shares every full page on its longest matching path and copies the matching rows of one further page,
so reuse has token granularity. Cached pages are evicted least recently used first; a parent is always more recently used
than its children, so the oldest page is a leaf. Pinned pages count as used and are never evicted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field


class OutOfPagesError(Exception):
    """No page is free or evictable; the scheduler has to preempt a sequence."""


@dataclass(eq=False, slots=True)
class _Node:
    page: int
    tokens: tuple[int, ...]
    parent: _Node | None
    children: dict[int, list[_Node]] = field(default_factory=dict)
    """Keyed by their first token."""


@dataclass(frozen=True, slots=True)
class PrefixMatch:
    """What a new sequence can reuse: `pages` full pages, shared, then `rows` rows copied from page `copy_from`.

    The match holds a reference to every page it names; `copy_from` is released by `PagePool.release_page` once copied.
    """

    pages: list[int]
    copy_from: int | None
    rows: int
    num_tokens: int


def common_prefix(a: Seq[int], b: Seq[int]) -> int:
    """Length of the longest common prefix of two token sequences."""
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))


class PagePool:
    """Allocation, reference counts, prefix index and LRU eviction over `num_pages` pages of `page_tokens` tokens."""

    def __init__(self, num_pages: int, page_tokens: int) -> None:
        self.num_pages = num_pages
        self.page_tokens = page_tokens
        self._free = list(range(num_pages - 1, -1, -1))
        self._touched: set[int] = set()
        """Pages allocated since their memory was last returned to the system."""
        self._references = [0] * num_pages
        self._nodes: dict[int, _Node] = {}
        self._root = _Node(page=-1, tokens=(), parent=None)
        self._lru: OrderedDict[int, None] = OrderedDict()
        self._pinned: set[int] = set()

    @property
    def num_free(self) -> int:
        """Pages that are neither used nor cached."""
        return len(self._free)

    @property
    def num_cached(self) -> int:
        """Unreferenced pages kept for prefix reuse."""
        return len(self._lru)

    @property
    def num_used(self) -> int:
        """Pages that are referenced or pinned."""
        return self.num_pages - len(self._free) - len(self._lru)

    @property
    def num_pinned(self) -> int:
        """Pages that are never evicted."""
        return len(self._pinned)

    @property
    def num_available(self) -> int:
        """Pages that can be allocated now, evicting cached ones."""
        return len(self._free) + len(self._lru)

    def allocate(self) -> int:
        """A page for one owner; evicts the least recently used cached page if none is free.

        Raises OutOfPagesError.
        """
        if not self._free:
            if not self._lru:
                raise OutOfPagesError
            self._evict(next(iter(self._lru)))
        page = self._free.pop()
        self._references[page] = 1
        self._touched.add(page)
        return page

    @property
    def free_page(self) -> int | None:
        """A free page, or None."""
        return self._free[-1] if self._free else None

    @property
    def num_touched(self) -> int:
        """Pages that may be backed by physical memory."""
        return len(self._touched)

    def take_free_and_touched(self) -> list[int]:
        """Free pages that still have memory, which the caller returns to the system; they count as untouched now."""
        pages = [page for page in self._free if page in self._touched]
        self._touched.difference_update(pages)
        self._free.sort(reverse=True)  # the lowest is allocated next, so that used pages stay contiguous
        return pages

    def match(self, tokens: Seq[int]) -> PrefixMatch:
        """Reference the pages of the longest cached prefix of `tokens`, leaving at least one token to compute."""
        limit = len(tokens) - 1
        node, pages, matched = self._root, list[int](), 0
        while matched < limit:
            best, best_length = None, 0
            window = tokens[matched : min(matched + self.page_tokens, limit)]
            for child in node.children.get(window[0], ()):
                length = common_prefix(child.tokens, window)
                if length > best_length:
                    best, best_length = child, length
            if best is None:
                break
            if best_length < self.page_tokens:
                self._take(best.page)
                return PrefixMatch(pages, best.page, best_length, matched + best_length)
            self._take(best.page)
            pages.append(best.page)
            matched += best_length
            node = best
        return PrefixMatch(pages, None, 0, matched)

    def pin(self, tokens: Seq[int]) -> int:
        """Pin the pages of a prefix; returns how many of its tokens are in the index."""
        match = self.match([*tokens, -1])  # -1 matches no token; it is the one that `match` leaves to compute
        self._pinned.update(match.pages if match.copy_from is None else [*match.pages, match.copy_from])
        return match.num_tokens

    def publish(self, pages: list[int], tokens: Seq[int], start: int) -> int:
        """Add the full pages of a sequence, from page index `start` on, to the prefix index.

        `tokens` are those whose rows are computed. A page whose tokens are already indexed is replaced in `pages` by the
        indexed one. Returns the number of leading pages that are now indexed.
        """
        full = len(tokens) // self.page_tokens
        node = self._root if start == 0 else self._nodes[pages[start - 1]]
        for index in range(start, full):
            begin = index * self.page_tokens
            node = self._insert(node, pages, index, tuple(tokens[begin : begin + self.page_tokens]))
        return max(start, full)

    def release(self, pages: list[int], tokens: Seq[int], published: int) -> None:
        """Release all pages of a sequence; the rows that they hold for `tokens` stay cached for other sequences."""
        published = self.publish(pages, tokens, published)
        rest = tuple(tokens[published * self.page_tokens :])
        if rest and published < len(pages):
            node = self._nodes[pages[published - 1]] if published else self._root
            if not any(common_prefix(child.tokens, rest) == len(rest) for child in node.children.get(rest[0], ())):
                self._insert(node, pages, published, rest)
        for page in reversed(pages):
            self.release_page(page)
        pages.clear()

    def release_page(self, page: int) -> None:
        """Drop one reference; with the last one the page becomes free, or cached if it is in the prefix index.

        A page whose successors are still used leaves the index together with them: they were given up one by one.
        """
        assert self._references[page] > 0, f"page {page} is released more often than referenced"
        self._references[page] -= 1
        if self._references[page]:
            return
        node = self._nodes.get(page)
        if node is None:
            self._free.append(page)
        elif any(self._references[child.page] for children in node.children.values() for child in children):
            self._unindex(node)
            self._free.append(page)
        else:
            self._lru[page] = None
            self._touch_parents(page)

    def drop_cached(self, keep: int = 0) -> int:
        """Evict cached prefixes until at most `keep` pages are cached; returns how many were freed."""
        dropped = 0
        while len(self._lru) > keep:
            self._evict(next(iter(self._lru)))
            dropped += 1
        return dropped

    def check_integrity(self) -> None:
        """Raise AssertionError unless every page is in exactly one state and the index is a tree without orphans."""
        free = set(self._free)
        assert len(free) == len(self._free), "a page is free twice"
        assert not free & set(self._nodes), "a free page is in the prefix index"
        assert not free & set(self._lru), "a free page is cached"
        for page, references in enumerate(self._references):
            assert references >= 0
            assert (page in free) <= (references == 0)
            assert (page in self._lru) == (references == 0 and page not in free)
        for page, node in self._nodes.items():
            assert node.page == page
            parent = node.parent
            assert parent is not None
            assert node in parent.children[node.tokens[0]], "a node is not below its parent"
            assert parent is self._root or parent.page in self._nodes, "a node outlived its parent"
            assert parent is self._root or len(parent.tokens) == self.page_tokens, "a partial page has a successor"
            if self._references[page] and parent is not self._root:
                assert self._references[parent.page], "a used page follows an unused one"
        assert self.num_free + self.num_cached + self.num_used == self.num_pages

    def _take(self, page: int) -> None:
        self._references[page] += 1
        self._lru.pop(page, None)

    def _insert(self, node: _Node, pages: list[int], index: int, tokens: tuple[int, ...]) -> _Node:
        """Insert pages[index] below `node`, or replace it by the equal page that is already there."""
        for child in node.children.get(tokens[0], ()):
            if child.tokens == tokens:
                if child.page != pages[index]:
                    self._take(child.page)
                    self.release_page(pages[index])
                    pages[index] = child.page
                return child
        child = _Node(pages[index], tokens, node)
        node.children.setdefault(tokens[0], []).append(child)
        self._nodes[child.page] = child
        return child

    def _touch_parents(self, page: int) -> None:
        """Mark every cached ancestor as more recently used than `page`, which has just been released."""
        node = self._nodes[page].parent
        while node is not None and node.page in self._lru:
            self._lru.move_to_end(node.page)
            node = node.parent

    def _unindex(self, node: _Node) -> None:
        """Remove a node and all below it from the index; cached pages among them become free."""
        self._cut_off(node)
        rest = [node]
        while rest:
            node = rest.pop()
            del self._nodes[node.page]
            if node.page in self._lru:
                del self._lru[node.page]
                self._free.append(node.page)
            rest += [child for children in node.children.values() for child in children]

    def _cut_off(self, node: _Node) -> None:
        assert node.parent is not None
        siblings = node.parent.children[node.tokens[0]]
        siblings.remove(node)
        if not siblings:
            del node.parent.children[node.tokens[0]]

    def _evict(self, page: int) -> None:
        node = self._nodes.pop(page)
        assert not node.children, "the least recently used page has successors"
        self._cut_off(node)
        del self._lru[page]
        self._free.append(page)
