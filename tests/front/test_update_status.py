"""What `youtu-edge model install https://…` did is seen in the metrics, in /v1/status and in `youtu-edge status`."""

from __future__ import annotations

from pathlib import Path

import pytest

from front.command import youtu_edge
from front.scripted_daemon import Daemon, running
from youtu_edge.updates.update_state import FILE, UpdateState, write_state


def row(daemon: Daemon) -> str:
    lines = youtu_edge("status", "--url", f"http://127.0.0.1:{daemon.port}").stdout.splitlines()
    return next((line[13:] for line in lines if line.startswith("update ")), "")


def test_a_running_daemon_shows_each_state_of_the_command(tmp_path: Path) -> None:
    """From the file that the command writes; the daemon is not told."""
    with running(f"model.path={tmp_path}/current") as daemon:
        assert row(daemon) == ""
        assert daemon.metric("youtu_edge_update_timestamp_seconds") == 0
        state = UpdateState(stage="downloading", source="https://files.test/", release=7, received=12 << 20, size=80 << 20)
        write_state(tmp_path, state)
        assert row(daemon).endswith(" release 7: downloading, 12 of 80 MiB")
        assert daemon.metric("youtu_edge_update_received_bytes") == 12 << 20
        assert daemon.metric("youtu_edge_update_failed") == 0
        write_state(tmp_path, UpdateState(stage="failed", source="https://files.test/", release=7, note="the disk is full"))
        assert row(daemon).endswith(" release 7: failed: the disk is full")
        assert daemon.metric("youtu_edge_update_failed") == 1
        assert daemon.metric("youtu_edge_update_timestamp_seconds") > 1_700_000_000


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", b'{"stage": "unknown", "source": ""}', b"{" * 100_000])
def test_a_damaged_file_is_like_none(text: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(text)
    with running(f"model.path={tmp_path}/current") as daemon:
        assert row(daemon) == ""
        assert daemon.request("GET", "/metrics")[0] == 200
