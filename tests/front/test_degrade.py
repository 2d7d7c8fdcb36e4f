"""How the daemon degrades rung by rung before it exits, and how it recovers."""

from __future__ import annotations

import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from front.scripted_daemon import running, wait_until
from youtu_edge.config import Config, ModelConfig, SchedulerConfig
from youtu_edge.front.supervision.degrade import LAST_RUNG, NAMES, degraded, rung_after
from youtu_edge.protocol.from_engine import Ready


def test_engines_shrink_with_every_death_and_grow_back_after_a_quiet_time() -> None:
    with running("service.max_restart_rate=3/6") as daemon:
        daemon.wait_ready()
        seen = []
        for count in range(3):
            daemon.kill_engine()
            wait_until(lambda count=count: daemon.status()["restarts"] == count + 1)
            daemon.wait_ready()
            status = daemon.status()
            plan = status["memory"]["engine_plan_bytes"]
            seen.append((status["degraded"], plan["max_sequences"], plan["step_tokens"], status["model"]["pages"]))
        assert seen == [
            (None, 16, 256, 512),
            ("smaller batch and step", 4, 128, 512),
            ("minimum batch, step and cache", 1, 64, 256),
        ]
        assert daemon.metric("youtu_edge_engine_rung") == 3
        wait_until(lambda: daemon.status()["degraded"] is None and daemon.status()["state"] == "ready", 30)
        status = daemon.status()
        assert status["memory"]["engine_plan_bytes"]["max_sequences"] == 16
        assert (status["restarts"], status["recycles"]) == (3, 1)
        assert daemon.metric("youtu_edge_engine_recycles_total") == 1
        assert daemon.chat("still here")[0] == 200
        assert daemon.stop() == 0
        assert b"engine_degraded rung=3" in daemon.log


def test_engines_that_die_after_a_recycling_use_up_the_budget_like_all_others(tmp_path: Path) -> None:
    flag = tmp_path / "engines fail to load now"
    with running("service.max_restart_rate=2/3", engine=("--fail-if", str(flag))) as daemon:
        daemon.wait_ready()
        for count in range(2):
            daemon.kill_engine()
            wait_until(lambda count=count: daemon.status()["restarts"] == count + 1)
            daemon.wait_ready()
        flag.touch()
        assert daemon.wait_exit(30) == 70
        assert daemon.log.count(b"engine_recycle ") == 1
        assert daemon.log.count(b'reason="exit code 1"') == 3


@given(st.integers(1, 20))
def test_one_death_changes_nothing_and_the_last_allowed_restart_is_on_the_last_rung(limit: int) -> None:
    rungs = [rung_after(count, limit) for count in range(limit + 1)]
    assert rungs[:2] == [0, 0][: len(rungs)]
    assert rungs == sorted(rungs)
    if limit > 1:
        assert rungs[-1] == LAST_RUNG


@given(st.integers(1, 64), st.integers(1, 4096), st.integers(2, 4096), st.integers(1, 8192), st.sampled_from([16, 32, 64]))
def test_no_rung_is_larger_than_the_one_before_or_too_small_for_an_accepted_request(
    sequences: int, step: int, pages: int, context: int, page_tokens: int
) -> None:
    config = Config(
        scheduler=SchedulerConfig(max_sequences=sequences, step_tokens=step), model=ModelConfig(kv_cache_max_page=pages)
    )
    full = Ready("m", context_length=context, pages=pages, page_tokens=page_tokens, load_seconds=1.0)
    rungs = [degraded(config, rung, full) for rung in range(LAST_RUNG + 1)]
    assert rungs[0] == config
    for larger, smaller in itertools.pairwise(rungs):
        assert smaller.scheduler.max_sequences <= larger.scheduler.max_sequences
        assert smaller.scheduler.step_tokens <= larger.scheduler.step_tokens
        assert smaller.model.kv_cache_max_page <= larger.model.kv_cache_max_page
    # What fitted into context and cache fits still.
    assert min(context, rungs[-1].model.kv_cache_max_page * page_tokens) == min(context, pages * page_tokens)
    assert len(NAMES) == LAST_RUNG + 1
