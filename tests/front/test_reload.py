"""SIGHUP: the configuration is read again, without a restart and without losing a request."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from front.notifications import Notifications
from front.scripted_daemon import Daemon, running, wait_until
from youtu_edge.config import Config
from youtu_edge.config_file import dotted_keys, load_config
from youtu_edge.errors import ConfigError
from youtu_edge.front.reload import LIVE_KEYS, UNIT_KEYS, Reloader, merge


@contextmanager
def daemon_with(file: Path) -> Iterator[tuple[Daemon, Notifications]]:
    """A ready daemon that was started with this file, and the socket that it notifies."""
    path = str(file.with_name("notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(20)
        with running(f"--config={file}", env={"NOTIFY_SOCKET": path}) as daemon:
            notifications = Notifications(notify)
            notifications.wait_for("STATUS=serving")
            yield daemon, notifications


def test_live_keys_change_at_once_and_the_others_are_named(tmp_path: Path) -> None:
    """A smaller limit of bodies refuses the next one; a new model waits, in the log and in the status."""
    file = tmp_path / "site.yaml"
    file.write_text("service: {max_body_bytes: 5000}\n")
    with daemon_with(file) as (daemon, notifications):
        body = {"prompt": "x" * 1000}
        assert daemon.request("POST", "/chat", body)[0] == 200
        file.write_text("service: {max_body_bytes: 500, drain_s: 1}\nmodel: {name: other}\n")
        daemon.process.send_signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in notifications.wait_for("RELOADING=1")
        assert notifications.wait_for("STATUS=").endswith("requests; a restart is needed for model.name")
        notifications.wait_for("READY=1")
        assert daemon.request("POST", "/chat", body)[0] == 413
        assert daemon.stop() == 0
    log = daemon.log.decode()
    assert "reloaded applied=service.drain_s,service.max_body_bytes restart_needed=model.name" in log
    assert "render_unit_needed=service.drain_s" in log


def test_a_file_with_a_mistake_changes_nothing(tmp_path: Path) -> None:
    """The log names its line; the daemon serves on as before, and the corrected file is taken."""
    file = tmp_path / "site.yaml"
    file.write_text("service: {max_body_bytes: 5000}\n")
    with daemon_with(file) as (daemon, notifications):
        file.write_text("service:\n  max_body_bytes: 10\n  max_queue: none\n")
        daemon.process.send_signal(signal.SIGHUP)
        notifications.wait_for("READY=1")
        assert daemon.request("POST", "/chat", {"prompt": "x" * 100})[0] == 200
        file.write_text("service:\n  max_body_bytes: 10\n")
        daemon.process.send_signal(signal.SIGHUP)
        notifications.wait_for("READY=1")
        assert daemon.request("POST", "/chat", {"prompt": "x" * 100})[0] == 413
        assert daemon.stop() == 0
    assert f'reload_refused reason="{file}:3: key \\"service.max_queue\\"' in daemon.log.decode()


def test_a_reload_while_the_model_loads_does_not_say_that_it_is_ready(tmp_path: Path) -> None:
    """READY=1 comes once, when the engine is; what was reloaded before counts all the same."""
    file, held = tmp_path / "site.yaml", tmp_path / "held"
    file.write_text("")
    held.touch()
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(20)
        with running(f"--config={file}", engine=("--load-while", str(held)), env={"NOTIFY_SOCKET": path}) as daemon:
            notifications = Notifications(notify)
            notifications.wait_for("EXTEND_TIMEOUT_USEC=")
            file.write_text("generation: {max_new_tokens: 3}\n")
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: b"reloaded applied=" in daemon.log)
            held.unlink()
            wait_until(lambda: daemon.request("GET", "/readyz")[0] == 200)
            notifications.wait_for("STATUS=serving")
            notifications.wait_for("READY=1")
            assert daemon.stop() == 0
    assert not [text for text in notifications.told if "RELOADING" in text]
    assert notifications.told.count("READY=1") == 1
    assert "reloaded applied=generation.max_new_tokens" in daemon.log.decode()


def test_a_waiting_key_that_is_set_back_waits_no_longer() -> None:
    """What waits is the difference between what is written and what is in force, not a history."""
    written = ["generation.top_k=7", "model.name=a"]
    applied: list[Config] = []
    reloader = Reloader(Config(), lambda: load_config(None, written))
    reloader.on_change.append(applied.append)
    assert reloader.reload()
    assert reloader.waiting == ["model.name"]
    assert applied[-1].generation.top_k == 7
    assert applied[-1].model.name == ""
    written.pop()
    assert reloader.reload()
    assert reloader.waiting == []


@pytest.mark.parametrize("key", sorted(LIVE_KEYS))
def test_every_live_key_exists(key: str) -> None:
    """A renamed key would otherwise wait for a restart for ever."""
    assert key in dotted_keys()


def test_merging_keeps_every_key_that_is_not_live() -> None:
    """Whatever a file changes, only live keys differ afterwards."""
    wanted = load_config(None, ["memory.limit=1G", "service.port=1", "service.max_queue=1", "generation.top_p=0.5"])
    merged = merge(Config(), wanted)
    assert merged.applied == ["service.max_queue", "generation.top_p"]
    assert merged.waiting == ["memory.limit", "service.port"]
    assert merged.config == load_config(None, ["service.max_queue=1", "generation.top_p=0.5"])


def test_the_unit_follows_exactly_these_live_keys() -> None:
    """A reload that makes the unit outdated says so."""
    from youtu_edge.cli.render_unit import render

    path = Path("/etc/youtu-edge/youtu-edge.yaml")
    shipped = render(Config(), path)
    assert {key for key in LIVE_KEYS if render(another(key), path) != shipped} == UNIT_KEYS


def another(key: str) -> Config:
    """A configuration in which only this key is not at its default."""
    for value in ("99", "debug", "1", "repair", "[x]", "true"):
        with suppress(ConfigError):
            config = load_config(None, [f"{key}={value}"])
            assert config != Config()
            return config
    raise AssertionError(f"no value tried here is valid for {key}")
