"""Heap memory left by requests with many small objects is returned, even with other requests in between."""

from __future__ import annotations

import contextlib
import http.client

from front.scripted_daemon import running, wait_until
from youtu_edge.front.machine.process_memory import anonymous_bytes

MIB = 1024 * 1024
PARTS = [{"type": "text", "text": f"x{number}"} for number in range(20_000)]
BODY = {"messages": [*({"role": "user", "content": "hi"} for _ in range(20_000)), {"role": "user", "content": PARTS}]}


def test_memory_comes_back_although_connections_were_opened_among_large_requests() -> None:
    """Objects that stay lie between those that go. Python's own allocator would keep 15 MiB here."""
    # As `youtu-edge serve` does.
    with running("memory.return_after_s=0.2", env={"PYTHONMALLOC": "malloc"}) as daemon, contextlib.ExitStack() as stack:
        daemon.wait_ready()
        front = daemon.process.pid
        assert daemon.chat("hi")[0] == 200
        before = anonymous_bytes(front)
        for _ in range(8):
            assert daemon.request("POST", "/v1/chat/completions", BODY)[0] == 200
            idle = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", daemon.port)))
            idle.request("GET", "/livez")
            idle.getresponse().read()
        wait_until(lambda: anonymous_bytes(front) < before + 6 * MIB)
