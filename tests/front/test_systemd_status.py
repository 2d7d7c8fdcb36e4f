"""What `systemctl status` shows while the daemon loads, serves, loses its engine and drains."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from front.notifications import Notifications
from front.scripted_daemon import running


def test_the_status_tells_what_happens_now(tmp_path: Path) -> None:
    """Loading with its deadline, serving with its address, another engine with who waits, and the drain."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(20)
        with running("model.path=/srv/model", "service.drain_s=0.1", env={"NOTIFY_SOCKET": path}) as daemon:
            notifications = Notifications(notify)
            assert notifications.wait_for("STATUS=loading /srv/model: 0 s of at most 180")
            served = f"STATUS=serving scripted at http://127.0.0.1:{daemon.port}, 0 requests"
            assert notifications.wait_for("STATUS=serving") == served
            daemon.kill_engine()
            assert notifications.wait_for("STATUS=starting") == "STATUS=starting engine number 2; 0 requests waiting"
            assert notifications.wait_for("STATUS=serving").startswith(served)
            daemon.process.send_signal(signal.SIGTERM)
            assert notifications.wait_for("STATUS=finishing") == "STATUS=finishing 0 requests within 0.1 s"
            assert daemon.wait_exit() == 0


def test_the_status_names_a_degraded_engine(tmp_path: Path) -> None:
    """After some deaths in a row a technician sees that the batch was made smaller."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(20)
        with running("service.max_restart_rate=3/300", env={"NOTIFY_SOCKET": path}) as daemon:
            notifications = Notifications(notify)
            for _ in range(3):
                notifications.wait_for("STATUS=serving")
                daemon.kill_engine()
            assert "; degraded after crashes: minimum batch, step and cache" in notifications.wait_for("STATUS=serving")
            assert daemon.stop() == 0
