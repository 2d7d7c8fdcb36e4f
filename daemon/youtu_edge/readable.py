"""Waits until descriptors are readable.

Not by select(), which rejects descriptors above 1,023: an engine that starts while the front has 2,000 connections inherits
a larger one.
"""

from __future__ import annotations

import select


def readable(timeout_s: float, *descriptors: int) -> set[int]:
    """Those that are readable, or whose other end is closed, within the timeout; empty after it."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(max(0.0, timeout_s) * 1000)}
