"""API keys: who is let in, how much each may use, and where the daemon refuses to listen."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from front.scripted_daemon import Daemon, running, wait_until
from front.test_cli import ENVIRONMENT
from youtu_edge.errors import ConcurrencyError, ConfigError, QuotaError
from youtu_edge.front.keys.api_keys import (
    ApiKey,
    KeysUnreadableError,
    find_key,
    hash_token,
    new_token,
    read_keys,
    write_keys,
)
from youtu_edge.front.keys.key_ring import KeyRing
from youtu_edge.front.keys.key_usage import KeyUsage

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}
NO_SUCH_KEY = "ye-" + "A" * 43


def keys(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `youtu-edge keys` on tmp_path/keys.json."""
    config = tmp_path / "youtu-edge.yaml"
    config.write_text(f"service:\n  keys_file: {tmp_path}/keys.json\n")
    command = [sys.executable, "-m", "youtu_edge", "keys", "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False)


def add(tmp_path: Path, *arguments: str) -> str:
    """A new key's token."""
    done = keys(tmp_path, "add", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def post(daemon: Daemon, token: str, content: str = "hello") -> tuple[int, dict[str, str], Any]:
    body = {"messages": [{"role": "user", "content": content}]}
    status, headers, data = daemon.request("POST", CHAT, body, bearer(token))
    return status, headers, json.loads(data)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon whose file of keys exists and is empty."""
    add(tmp_path, "first")
    keys(tmp_path, "revoke", "first")
    with running(f"service.keys_file={tmp_path}/keys.json") as daemon:
        yield daemon.wait_ready()


def test_a_token_is_shown_once_and_kept_as_a_hash_that_only_the_owner_can_read(tmp_path: Path) -> None:
    token = add(tmp_path, "camera", "--scopes", "chat,metrics", "--tokens-per-day", "1000")
    file = tmp_path / "keys.json"
    assert re.fullmatch(r"ye-[\w-]{43}", token)
    assert token not in file.read_text()
    assert hash_token(token) in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    listed = keys(tmp_path, "list").stdout.splitlines()
    assert listed[1].split()[:2] == ["camera", "chat,metrics"]
    assert listed[1].split()[-4:] == ["-", "-", "1000", "-"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "taken"),
        ("add", "../x"),
        ("add", "x", "--scopes", "everything"),
        ("add", "x", "--max-concurrent", "-1"),
        ("add", "x", "--priority", "8"),
        ("revoke", "nobody"),
    ],
)
def test_a_key_that_cannot_be_made_or_revoked_is_one_line_and_changes_nothing(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    add(tmp_path, "taken")
    before = (tmp_path / "keys.json").read_bytes()
    done = keys(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "keys.json").read_bytes() == before


def test_without_a_file_of_keys_everyone_on_this_machine_may_come(daemon: Daemon) -> None:
    assert post(daemon, "whatever")[0] == 200


def test_once_the_file_exists_a_request_needs_a_key_of_it(tmp_path: Path, guarded: Daemon) -> None:
    token = add(tmp_path, "camera")
    status, headers, data = guarded.request("POST", CHAT, HELLO)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert json.loads(data)["error"]["code"] == "invalid_api_key"
    assert post(guarded, NO_SUCH_KEY)[0] == 401
    assert guarded.request("POST", CHAT, HELLO, {"Authorization": f"Basic {token}"})[0] == 401
    assert post(guarded, token)[0] == 200
    assert guarded.request("POST", CHAT, HELLO, {"x-api-key": token})[0] == 200
    with openai.OpenAI(base_url=f"http://127.0.0.1:{guarded.port}/v1", api_key=token, max_retries=0) as client:
        assert client.models.list().data[0].id == "scripted"
    with (
        openai.OpenAI(base_url=f"http://127.0.0.1:{guarded.port}/v1", api_key=NO_SUCH_KEY, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_a_key_is_valid_as_soon_as_it_is_made_and_invalid_as_soon_as_it_is_revoked(tmp_path: Path, guarded: Daemon) -> None:
    token = add(tmp_path, "camera")
    assert post(guarded, token)[0] == 200
    assert keys(tmp_path, "revoke", "camera").returncode == 0
    assert post(guarded, token)[0] == 401


def test_chat_in_the_terminal_takes_its_key_from_a_file(tmp_path: Path, guarded: Daemon) -> None:
    (tmp_path / "key").write_text(add(tmp_path, "terminal") + "\n")
    command = [sys.executable, "-m", "youtu_edge", "chat", "--url", f"http://127.0.0.1:{guarded.port}"]

    def chat(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            input="hello\n",
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            timeout=20,
            check=False,
        )

    assert chat("--key-file", str(tmp_path / "key")).stdout == "hello\n"
    assert "a key is needed" in chat().stderr
    assert "cannot be read as a key" in chat("--key-file", str(tmp_path / "gone")).stderr


def test_the_first_key_locks_a_daemon_that_was_open(tmp_path: Path) -> None:
    with running(f"service.keys_file={tmp_path}/keys.json") as daemon:
        daemon.wait_ready()
        assert post(daemon, "whatever")[0] == 200
        token = add(tmp_path, "camera")
        assert post(daemon, "whatever")[0] == 401
        assert post(daemon, token)[0] == 200


@pytest.mark.parametrize("damage", ["remove", "garble", "expose"])
def test_a_file_that_is_gone_damaged_or_readable_by_all_locks_the_door(
    tmp_path: Path, guarded: Daemon, damage: str
) -> None:
    token = add(tmp_path, "camera")
    assert post(guarded, token)[0] == 200
    file = tmp_path / "keys.json"
    if damage == "remove":
        file.unlink()
    elif damage == "garble":
        file.write_text('{"keys": [')
    else:
        file.chmod(0o644)
    assert post(guarded, token)[0] == 401
    guarded.stop()
    assert b"keys_unusable" in guarded.log


def test_a_key_beyond_ascii_is_not_valid_and_no_error_of_ours(guarded: Daemon) -> None:
    head = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    for header in (b"X-Api-Key: ", b"Authorization: Bearer "):
        for token in (b"\xff\xfe", "clé".encode(), b"ye-\xed\xa0\x80", b"ye-" + b"A" * 42 + b"\xff", "🔑".encode()):
            answer = guarded.raw(head + header + token + b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 401 "), answer
            assert b'"code":"invalid_api_key"' in answer
    assert b"handler_failed" not in guarded.log


class FailingFile:
    """`os.stat` and opening of one file fail as the system would."""

    def __init__(self, patch: pytest.MonkeyPatch, path: Path) -> None:
        self.at_stat: int | None = None
        self.at_open: int | None = None
        real_stat, real_open = os.stat, Path.open

        def stat(name: Any, *arguments: Any, **more: Any) -> Any:
            if self.at_stat and Path(name) == path:
                raise OSError(self.at_stat, os.strerror(self.at_stat))
            return real_stat(name, *arguments, **more)

        def open_(name: Path, *arguments: Any, **more: Any) -> Any:
            if self.at_open and name == path:
                raise OSError(self.at_open, os.strerror(self.at_open))
            return real_open(name, *arguments, **more)

        patch.setattr(os, "stat", stat)
        patch.setattr(Path, "open", open_)


@pytest.mark.parametrize("where", ["at_open", "at_stat"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM, errno.ESTALE])
def test_a_read_that_the_system_failed_keeps_the_keys_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, number: int
) -> None:
    now = 0.0
    path = tmp_path / "keys.json"
    first, second = new_token(), new_token()
    write_keys(path, (key_of("first", first),))
    ring = KeyRing(path, lambda: now)
    failing = FailingFile(monkeypatch, path)
    setattr(failing, where, number)
    write_keys(path, (key_of("second", second),))
    assert ring.find(first) is not None
    assert ring.find(second) is None
    setattr(failing, where, None)
    now = 1.0
    assert ring.find(first) is None
    assert ring.find(second) is not None


def test_a_file_that_may_not_be_read_locks_the_door_and_opens_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    path, token = tmp_path / "keys.json", new_token()
    write_keys(path, (key_of("camera", token),))
    ring = KeyRing(path, lambda: now)
    failing = FailingFile(monkeypatch, path)
    for where in ("at_open", "at_stat"):
        setattr(failing, where, errno.EACCES)
        os.utime(path, (now, now))
        assert ring.find(token) is None
        assert ring.needs_key()
        setattr(failing, where, None)
        now += 1.0
        assert ring.find(token) is not None


def test_a_file_that_may_be_there_never_means_that_no_key_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start and later: its directory cannot be searched, or what is there is damaged."""
    path = tmp_path / "keys.json"
    failing = FailingFile(monkeypatch, path)
    failing.at_stat = errno.EACCES
    with pytest.raises(ConfigError, match=r"keys.json: cannot be read: Permission denied"):
        KeyRing(path)
    failing.at_stat = errno.EIO
    with pytest.raises(KeysUnreadableError, match=r"cannot be read just now"):
        KeyRing(path)
    failing.at_stat = None
    ring = KeyRing(path)
    assert not ring.needs_key()
    path.write_text("{")
    path.chmod(0o600)
    assert ring.needs_key()


def test_a_failure_of_the_key_file_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    path, token = tmp_path / "keys.json", new_token()
    write_keys(path, (key_of("camera", token),))
    ring = KeyRing(path, lambda: now)
    FailingFile(monkeypatch, path).at_stat = errno.EMFILE
    for _ in range(50):
        now += 1.0
        assert ring.find(token) is not None
    assert len(caplog.records) == 1


def key_of(name: str, token: str) -> ApiKey:
    return ApiKey(name=name, sha256=hash_token(token), scopes=("chat",))


def test_a_scope_opens_its_routes_and_no_others(tmp_path: Path, guarded: Daemon) -> None:
    chat, metrics, admin = (add(tmp_path, name, "--scopes", name) for name in ("chat", "metrics", "admin"))
    expected = {CHAT: (200, 403, 200), "/metrics": (403, 200, 200), "/v1/status": (403, 200, 200)}
    for path, statuses in expected.items():
        for token, status in zip((chat, metrics, admin), statuses, strict=True):
            method, body = ("POST", HELLO) if path == CHAT else ("GET", None)
            assert guarded.request(method, path, body, bearer(token))[0] == status, path
    assert json.loads(guarded.request("GET", "/metrics", None, bearer(chat))[2])["error"]["code"] == "insufficient_scope"


def test_probes_and_the_start_page_need_no_key(guarded: Daemon) -> None:
    assert [guarded.request("GET", path)[0] for path in ("/livez", "/readyz", "/")] == [200, 200, 200]
    assert guarded.request("GET", "/v1/models")[0] == 401


@pytest.mark.parametrize("path", ["/v1/new", "/ui", "/readyz/", "/livez/../metrics", "//metrics", "/UI/x"])
def test_a_path_that_nobody_thought_of_is_not_open(guarded: Daemon, path: str) -> None:
    assert guarded.request("GET", path)[0] == 401


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


def test_the_log_names_the_key_of_a_request_and_never_its_token(tmp_path: Path, guarded: Daemon) -> None:
    token = add(tmp_path, "camera")
    post(guarded, token)
    post(guarded, NO_SUCH_KEY)
    guarded.stop()
    assert b"key=camera" in guarded.log
    assert token.encode() not in guarded.log
    assert NO_SUCH_KEY.encode() not in guarded.log


def test_the_daemon_refuses_to_serve_other_machines_without_a_key(tmp_path: Path) -> None:
    with running("service.host=0.0.0.0", f"service.keys_file={tmp_path}/keys.json") as daemon:
        assert daemon.wait_exit() == 78
        assert b'make one with "youtu-edge keys add NAME"' in daemon.log
        assert daemon.log.count(b"\n") == 1


@pytest.mark.parametrize("permission", ["key", "allow_unauthenticated"])
def test_the_daemon_serves_other_machines_with_a_key_or_when_told_explicitly(tmp_path: Path, permission: str) -> None:
    settings = ["service.host=0.0.0.0", f"service.keys_file={tmp_path}/keys.json"]
    token = add(tmp_path, "camera") if permission == "key" else ""
    settings += [] if token else ["service.allow_unauthenticated=true"]
    with running(*settings) as daemon:
        daemon.wait_ready()
        assert post(daemon, token)[0] == 200
        assert post(daemon, NO_SUCH_KEY)[0] == (401 if token else 200)


def test_a_file_of_keys_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("{}")
    file.chmod(0o604)
    with running(f"service.keys_file={file}") as daemon:
        assert daemon.wait_exit() == 78
        assert b"chmod 600" in daemon.log


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


@given(st.integers(0, 5), st.text(max_size=60))
def test_only_the_very_token_opens(count: int, guess: str) -> None:
    tokens = [new_token() for _ in range(count)]
    entries = tuple(
        ApiKey(name=f"k{number}", sha256=hash_token(token), scopes=("chat",)) for number, token in enumerate(tokens)
    )
    for number, token in enumerate(tokens):
        found = find_key(entries, token)
        assert found
        assert found.name == f"k{number}"
    assert find_key(entries, guess) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"keys": [{"name": "a"}]}',
        '{"keys": [], "x": 1}',
        '{"keys": [{"name": "a", "sha256": "x", "scopes": []}]}',
    ],
)
def test_what_is_no_file_of_keys_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"keys\.json: not a file of keys"):
        read_keys(file)


def test_two_keys_of_one_name_are_refused(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.json", (make_key(), make_key()))
    with pytest.raises(ConfigError, match="same name"):
        read_keys(tmp_path / "keys.json")
