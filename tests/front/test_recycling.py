"""When an engine that is due for replacement may be shut down."""

from __future__ import annotations

import asyncio

from youtu_edge.front.inflight.active_requests import ActiveRequest, ActiveRequests
from youtu_edge.front.inflight.tokenizer_queries import TokenizerQueries
from youtu_edge.front.supervision.recycling import LEAVE_S, Recycling
from youtu_edge.protocol.from_engine import Finished, Reply, StepFrame
from youtu_edge.protocol.to_engine import SamplingParams, Submit, Tokenize


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def open_session(table: ActiveRequests, name: str) -> ActiveRequest:
    return table.open(Submit(name, SamplingParams(), 8, prompt="Hello"))


def finish(table: ActiveRequests, name: str) -> None:
    table.apply(StepFrame(finished=[Finished(name, "stop", 1, 0, 1)]))


def test_it_waits_for_the_requests_that_were_there_and_for_no_later_one() -> None:
    clock = Clock()
    table = ActiveRequests(clock)
    open_session(table, "early")
    recycling = Recycling(table, TokenizerQueries(8), clock, patience_s=60)
    open_session(table, "late")
    assert not recycling.may_ask
    finish(table, "early")
    assert recycling.may_ask


def test_it_waits_for_the_queries_that_were_there_and_for_no_later_one() -> None:
    async def ask() -> None:
        clock, queries = Clock(), TokenizerQueries(8)
        early = queries.open(Tokenize("early", add_special=False))
        recycling = Recycling(ActiveRequests(clock), queries, clock, patience_s=60)
        queries.open(Tokenize("late", add_special=False))
        assert not recycling.may_ask
        queries.apply(Reply(early.message.id, "early", [1]))
        assert recycling.may_ask

    asyncio.run(ask())


def test_its_patience_ends() -> None:
    clock = Clock()
    table = ActiveRequests(clock)
    open_session(table, "long")
    recycling = Recycling(table, TokenizerQueries(8), clock, patience_s=60)
    clock.now += 59
    assert not recycling.may_ask
    clock.now += 1
    assert recycling.may_ask


def test_a_request_that_is_still_looked_up_in_the_cache_waits_for_the_next_engine() -> None:
    """This engine never saw it; waiting for it would be waiting for nothing."""
    clock = Clock()
    table = ActiveRequests(clock)
    open_session(table, "held").is_held = True
    assert Recycling(table, TokenizerQueries(8), clock, patience_s=60).may_ask


def test_an_engine_that_was_asked_and_stays_is_killed() -> None:
    clock = Clock()
    recycling = Recycling(ActiveRequests(clock), TokenizerQueries(8), clock, patience_s=0)
    recycling.request_exit()
    assert recycling.exit_requested
    assert not recycling.may_ask
    assert not recycling.must_kill
    clock.now += LEAVE_S
    assert recycling.must_kill
