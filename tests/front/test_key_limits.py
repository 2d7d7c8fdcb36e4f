"""Limits of a key: concurrent requests, tokens per hour and day, and how usage is stored."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from front.keys_command import add, post
from front.scripted_daemon import Daemon, running, wait_until
from youtu_edge.errors import ConcurrencyError, QuotaError
from youtu_edge.front.keys.api_keys import (
    ApiKey,
    hash_token,
    new_token,
)
from youtu_edge.front.keys.key_usage import KeyUsage


def test_a_key_may_have_only_so_many_requests_at_once(tmp_path: Path, guarded: Daemon) -> None:
    token = add(tmp_path, "camera", "--max-concurrent", "1")
    other = add(tmp_path, "other")
    connection = openai.OpenAI(base_url=f"http://127.0.0.1:{guarded.port}/v1", api_key=token, max_retries=0)
    with connection as client:
        stream = client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": "slow repeat:100"}], stream=True
        )
        next(iter(stream))
        status, headers, answer = post(guarded, token)
        assert (status, answer["error"]["code"]) == (429, "concurrency_exceeded")
        assert int(headers["retry-after"]) >= 1
        assert post(guarded, other)[0] == 200
        stream.close()
    wait_until(lambda: post(guarded, token)[0] == 200)


def test_a_key_that_used_its_tokens_waits_for_the_next_window_also_after_a_restart(tmp_path: Path) -> None:
    token = add(tmp_path, "camera", "--tokens-per-hour", "8")
    settings = f"service.keys_file={tmp_path}/keys.json"
    with running(settings) as daemon:
        daemon.wait_ready()
        assert post(daemon, token)[0] == 200, "five tokens of prompt and five of answer: the limit is crossed, once"
        status, headers, answer = post(daemon, token)
        assert (status, answer["error"]["code"]) == (429, "quota_exceeded")
        assert 3000 < int(headers["retry-after"]) <= 3600
        assert daemon.stop() == 0
    with running(settings) as daemon:
        assert post(daemon.wait_ready(), token)[2]["error"]["code"] == "quota_exceeded"


def make_key(**limits: Any) -> ApiKey:
    return ApiKey(name="k", sha256=hash_token(new_token()), scopes=("chat",), **limits)


def test_a_window_opens_with_its_first_tokens_and_ends_after_its_length(tmp_path: Path) -> None:
    now = time.time()
    usage = KeyUsage(tmp_path / "usage.json", lambda: now)
    key = make_key(tokens_per_hour=10)
    usage.begin("k")
    usage.end("k", 10)
    now += 3590
    with pytest.raises(QuotaError) as refused:
        usage.check(key)
    assert refused.value.retry_after_s == 10
    now += 10
    usage.check(key)
    assert usage.used("k") == {"tokens_per_hour": 0, "tokens_per_day": 10}


def test_a_window_that_began_in_the_future_is_none(tmp_path: Path) -> None:
    """A board without a battery starts in 1970, and jumps when it finds the time."""
    now = time.time()
    usage = KeyUsage(tmp_path / "usage.json", lambda: now)
    usage.begin("k")
    usage.end("k", 10)
    now = 0.0
    usage.check(make_key(tokens_per_hour=10))


def test_used_tokens_survive_in_the_file_and_a_damaged_file_counts_from_zero(tmp_path: Path) -> None:
    file = tmp_path / "usage.json"
    usage = KeyUsage(file, time.time)
    usage.begin("k")
    usage.end("k", 7)
    usage.save()
    assert KeyUsage(file, time.time).used("k") == {"tokens_per_hour": 7, "tokens_per_day": 7}
    file.write_text("[")
    assert KeyUsage(file, time.time).used("k") == {"tokens_per_hour": 0, "tokens_per_day": 0}


def test_a_disk_that_takes_nothing_is_reported_once_and_costs_only_the_figures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    usage = KeyUsage(tmp_path / "gone" / "usage.json", time.time)
    for _ in range(3):
        usage.begin("k")
        usage.end("k", 7)
        usage.save()
    assert usage.used("k")["tokens_per_day"] == 21
    assert caplog.text.count("key_usage_not_saved") == 1
    (tmp_path / "gone").mkdir()
    usage.save()
    assert KeyUsage(tmp_path / "gone" / "usage.json", time.time).used("k")["tokens_per_day"] == 21


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 4))
def test_requests_at_once_never_exceed_the_limit(
    tmp_path_factory: pytest.TempPathFactory, wishes: list[bool], limit: int
) -> None:
    usage = KeyUsage(tmp_path_factory.getbasetemp() / "none.json", time.time)
    key, unfinished = make_key(max_concurrent=limit), 0
    for wants_more in wishes:
        if wants_more:
            try:
                usage.check(key)
            except ConcurrencyError:
                assert unfinished == limit
                continue
            assert unfinished < limit
            usage.begin("k")
            unfinished += 1
        elif unfinished:
            usage.end("k", 0)
            unfinished -= 1
