"""Which requests are suspected of killing engines, which are convicted, and how a suspicion ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.errors import PoisonRequestError
from youtu_edge.front.inflight.work import digest_of
from youtu_edge.front.supervision.poison import PoisonWatch
from youtu_edge.protocol.to_engine import PROBATION_TOKENS, SamplingParams, Submit


def submit(name: str, question: str = "?", **more: Any) -> Submit:
    return Submit(name, SamplingParams(), 8, prompt=question, **more)


def test_a_suspect_that_is_asked_again_and_answered_is_none_any_more() -> None:
    """Somebody else's bad luck is not remembered: the same words, asked by the next client, are computed and forgiven."""
    watch = PoisonWatch(lambda: 0.0)
    asked = digest_of(submit("a"))
    watch.engine_died({"a": 0}, {"a": 0})
    watch.left("a", asked)
    watch.begin("b", asked)
    assert watch.is_suspect("b", 0)
    watch.survived("b", asked)
    watch.begin("c", asked)
    assert not watch.is_suspect("c", 0)
    assert watch.engine_died({"c": 0}, {"c": 0}) is None


def test_a_suspicion_without_a_client_ends_with_time() -> None:
    now = 0.0
    watch = PoisonWatch(lambda: now)
    asked = digest_of(submit("a"))
    watch.engine_died({"a": 0}, {})
    watch.left("a", asked)
    now = 601.0
    watch.begin("b", asked)
    assert not watch.is_suspect("b", 0)


def test_tokens_gained_clear_a_suspect() -> None:
    watch = PoisonWatch(lambda: 0.0)
    assert watch.engine_died({"a": 3}, {"a": 3}) is None
    assert watch.is_suspect("a", 3 + PROBATION_TOKENS - 1)
    assert not watch.is_suspect("a", 3 + PROBATION_TOKENS)
    assert watch.engine_died({"a": 7}, {"a": 7}) is None
    assert watch.engine_died({"a": 9}, {"a": 9}) == "a"


def test_each_engine_begins_the_probation_anew() -> None:
    """What kills an engine after a few tokens in each of its lives is not cleared by tokens of two lives."""
    watch = PoisonWatch(lambda: 0.0)
    assert watch.engine_died({"a": 2, "b": 0}, {"a": 2, "b": 0}) is None
    assert watch.engine_died({"b": 0}, {"a": 4, "b": 0}) == "b"
    assert watch.is_suspect("a", 2 + PROBATION_TOKENS)
    assert watch.engine_died({"a": 6}, {"a": 6}) == "a"


def test_a_quarantined_question_is_refused_for_a_while_whoever_asks() -> None:
    now = 0.0
    watch = PoisonWatch(lambda: now)
    watch.quarantine("a", digest_of(submit("a", "die", sent_tokens=[1], sent_text="x")))
    with pytest.raises(PoisonRequestError):
        watch.check(digest_of(submit("b", "die")))
    watch.check(digest_of(submit("c", "live")))
    now = 601.0
    watch.check(digest_of(submit("b", "die")))


@given(st.data())
def test_whatever_arrives_no_innocent_fails_and_every_poison_is_found(data: st.DataObject) -> None:
    """A simulated engine runs suspects alone and dies when a poison reaches its fatal token, of the answer or of this life.

    The second kind is one that only decoding kills: in every life it gains the token that its prefill gives.
    """
    fatal: dict[str, int] = {}
    fatal_in_a_life: dict[str, int] = {}
    gained: dict[str, int] = {}
    deaths: dict[str, int] = {}
    tokens: dict[str, int] = {}
    watch = PoisonWatch(lambda: 0.0)
    failed: set[str] = set()
    names = iter(range(1000))
    suspects: set[str] = set()
    for _ in range(data.draw(st.integers(1, 40))):
        if data.draw(st.booleans()):
            name = str(next(names))
            tokens[name] = 0
            if data.draw(st.booleans()):
                if data.draw(st.booleans()):
                    fatal[name] = data.draw(st.integers(0, 6))
                else:
                    fatal_in_a_life[name] = data.draw(st.integers(0, 3))
        if not tokens:
            continue
        # Suspects run alone; otherwise any non-empty part of what is there runs, as pages and places allow.
        alone = sorted(suspects & set(tokens))
        together = sorted(data.draw(st.sets(st.sampled_from(sorted(tokens)), min_size=1)))
        working = [data.draw(st.sampled_from(alone))] if alone else together
        guilty = [n for n in working if fatal.get(n) == tokens[n] or fatal_in_a_life.get(n) == gained.get(n, 0)]
        if guilty:
            gained.clear()
            for name in guilty:
                deaths[name] = deaths.get(name, 0) + 1
            poison = watch.engine_died({name: tokens[name] for name in working}, tokens)
            if poison:
                failed.add(poison)
                del tokens[poison]
            suspects = {name for name, count in tokens.items() if watch.is_suspect(name, count)}
            continue
        for name in working:
            tokens[name] += 1
            gained[name] = gained.get(name, 0) + 1
            if not watch.is_suspect(name, tokens[name]):
                suspects.discard(name)
    assert failed <= set(fatal) | set(fatal_in_a_life)
    assert all(count <= 2 for count in deaths.values()), "a poison killed a third engine"
    for name in set(tokens) & set(fatal):
        assert tokens[name] <= fatal[name], "a poison ran past its fatal token"
