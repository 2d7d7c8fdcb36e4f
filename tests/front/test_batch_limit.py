"""The least of all limits holds, and every engine knows it."""

from __future__ import annotations

from youtu_edge.front.machine.batch_limit import BatchLimit
from youtu_edge.protocol.to_engine import Narrow


def test_the_least_limit_of_all_sources_holds() -> None:
    """The engine is told only what changes for it."""
    sent: list[Narrow] = []
    limit = BatchLimit(16, sent.append)
    limit.set("heat", 8)
    limit.set("memory", 4)
    limit.set("heat", 6)
    limit.set("memory", 16)
    limit.set("heat", 20)
    assert [message.max_sequences for message in sent] == [8, 4, 6, 16]
    assert limit.value == 16


def test_a_new_engine_is_told_at_once_and_only_if_there_is_a_limit() -> None:
    sent: list[Narrow] = []
    limit = BatchLimit(16, sent.append)
    limit.engine_ready()
    assert not sent
    limit.set("heat", 2)
    limit.engine_ready()
    assert [message.max_sequences for message in sent] == [2, 2]


def test_at_least_one_sequence_runs() -> None:
    limit = BatchLimit(16, lambda _: None)
    limit.set("memory", 0)
    assert limit.value == 1
