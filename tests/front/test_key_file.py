"""The file of API keys: the command that writes it, how it is read, and what happens when it cannot be."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from front.keys_command import add, keys
from front.scripted_daemon import running
from youtu_edge.errors import ConfigError
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


def test_a_file_of_keys_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("{}")
    file.chmod(0o604)
    with running(f"service.keys_file={file}") as daemon:
        assert daemon.wait_exit() == 78
        assert b"chmod 600" in daemon.log


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
    with pytest.raises(ConfigError, match=r"keys\.json: not a valid key file"):
        read_keys(file)


def test_two_keys_of_one_name_are_refused(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.json", (key_of("k", new_token()), key_of("k", new_token())))
    with pytest.raises(ConfigError, match="same name"):
        read_keys(tmp_path / "keys.json")
