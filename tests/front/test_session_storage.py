"""What is left of sessions after a restart, a kill or a damaged file, on a full disk, and without a directory."""

from __future__ import annotations

import resource
from pathlib import Path

from front.scripted_daemon import running
from front.session_calls import contents, say


def test_sessions_survive_a_restart_and_a_kill(tmp_path: Path) -> None:
    settings = f"storage.directory={tmp_path / 'data'}"
    for number in range(3):
        with running(settings) as daemon:
            daemon.wait_ready()
            say(daemon, "kept", f"turn {number}")
            assert contents(daemon, "kept") == [f"turn {turn}" for turn in range(number + 1) for _ in range(2)]
            if number == 0:
                assert daemon.stop() == 0
            else:
                daemon.process.kill()


def test_a_damaged_database_is_set_aside_and_the_daemon_starts(tmp_path: Path) -> None:
    (tmp_path / "conversations.db").write_bytes(b"not a database" * 1000)
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        assert say(daemon, "fresh", "hello")["stored"]
        assert daemon.status()["storage"]["conversations"] == "disk"
        assert daemon.stop() == 0
        assert b"database_set_aside file=conversations.db moved_to=conversations.db.damaged" in daemon.log
    assert (tmp_path / "conversations.db.damaged").exists()


def test_with_a_full_disk_the_answer_is_still_given(tmp_path: Path) -> None:
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        say(daemon, "full", "before")
        size = max(path.stat().st_size for path in tmp_path.iterdir())
        limits = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (size, limits[1]))
        answer = say(daemon, "full", "x" * 3000, max_new_tokens=4000)
        assert (answer["response"], answer["stored"]) == ("x" * 3000, False)
        assert daemon.metric('youtu_edge_storage_failures_total{database="conversations"}') == 1
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, limits)
        assert say(daemon, "full", "after")["stored"]
        assert contents(daemon, "full") == ["before", "before", "after", "after"]
        assert daemon.stop() == 0
        assert b"database_failed file=conversations.db" in daemon.log


def test_without_a_directory_sessions_live_until_the_restart(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with running(f"storage.directory={tmp_path / 'file' / 'data'}") as daemon:
        daemon.wait_ready()
        say(daemon, "brief", "hello")
        assert say(daemon, "brief", "recall")["response"] == "hello|hello|recall"
        assert daemon.status()["storage"] == {"conversations": "memory", "disk": None}
        assert daemon.stop() == 0
        assert b"database_in_memory" in daemon.log
