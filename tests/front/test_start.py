"""The start of the daemon: an address that comes late, a data directory that has its daemon, data that goes away."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from front.notifications import Notifications
from front.scripted_daemon import PATHS, ROOT, running
from youtu_edge.errors import AddressMissingError
from youtu_edge.front.http.listener import open_listener
from youtu_edge.front.http.port_holder import port_holder


@contextlib.contextmanager
def without_address(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Notifications]]:
    """A daemon without its address until tmp_path/address exists, and what it tells systemd; its log is tmp_path/log."""
    path = str(tmp_path / "notify")
    program = str(Path(__file__).with_name("serve_without_address.py"))
    environment = {"PYTHONPATH": PATHS, "ADDRESS_FILE": str(tmp_path / "address"), "NOTIFY_SOCKET": path}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, (tmp_path / "log").open("wb") as log:
        notify.bind(path)
        notify.settimeout(30)
        process = subprocess.Popen(
            [sys.executable, program, "service.port=0", "storage.directory=''", "--"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **environment},
        )
        try:
            yield process, Notifications(notify)
        finally:
            process.kill()
            process.communicate()


def test_an_address_that_is_not_there_yet_is_waited_for_while_the_model_loads(tmp_path: Path) -> None:
    """No READY before the port is bound, however long the model has been loaded; then all is as ever."""
    with without_address(tmp_path) as (process, notifications):
        waiting = notifications.wait_for("STATUS=the model is loaded")
        assert waiting == "STATUS=the model is loaded; waiting until this machine has the address 127.0.0.1"
        assert "READY=1" not in notifications.told
        assert "listening " not in (tmp_path / "log").read_text()
        (tmp_path / "address").touch()
        assert notifications.wait_for("STATUS=serving")
        notifications.wait_for("READY=1")
        assert process.stdout
        assert process.stdout.readline().startswith(b"listening on http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    log = (tmp_path / "log").read_text()
    assert log.count("address_missing") == 1
    assert log.index("engine_ready") < log.index("listening ")


def test_a_daemon_that_waits_for_its_address_can_be_stopped(tmp_path: Path) -> None:
    with without_address(tmp_path) as (process, notifications):
        notifications.wait_for("STATUS=the model is loaded")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_an_address_that_never_comes_ends_the_daemon_with_a_code_that_systemd_restarts() -> None:
    """Not before the model is loaded and service.load_deadline_s is over."""
    settings = ("service.host=192.0.2.7", "service.allow_unauthenticated=true", "service.load_deadline_s=1")
    with running(*settings) as daemon:
        assert daemon.wait_exit() == 69
        lines = daemon.log.decode().splitlines()
    assert lines[-1].startswith("youtu-edge: service.host 192.0.2.7 is not an address of this machine now (")
    assert any("engine_ready" in line for line in lines)
    unit = (ROOT / "systemd" / "youtu-edge.service").read_text()
    assert "Restart=on-failure\n" in unit
    assert "RestartPreventExitStatus=78\n" in unit


def test_an_interface_that_is_not_there_yet_is_no_mistake_either() -> None:
    with pytest.raises(AddressMissingError, match=r"fe80::1%none0 is not an address of this machine now"):
        open_listener("fe80::1%none0", 0)


def test_who_holds_a_port_is_found_only_where_somebody_listens() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert port_holder(port) == ""
        listener.listen()
        assert f"(pid {os.getpid()})" in port_holder(port)


def test_a_second_daemon_on_one_data_directory_is_refused_with_the_process_id_of_the_first(tmp_path: Path) -> None:
    """By whatever name it is called; `kill -9` of the first lets the next one in."""
    data = tmp_path / "data"
    (tmp_path / "other-name").symlink_to(data)
    with running(f"storage.directory={data}") as first:
        first.wait_ready()
        with running(f"storage.directory={tmp_path}/other-name") as second:
            assert second.wait_exit() == 69
            assert second.log.decode() == (
                f"youtu-edge: storage.directory {tmp_path}/other-name is in use by another youtu-edge "
                f"(pid {first.process.pid}); stop it, or set another storage.directory for this one\n"
            )
        first.process.send_signal(signal.SIGKILL)
        first.wait_exit()
    with running(f"storage.directory={data}") as third:
        third.wait_ready()
        assert third.status()["storage"]["conversations"] == "disk"
        assert third.stop() == 0


def test_a_data_directory_that_cannot_be_locked_keeps_nobody_from_answering(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with running(f"storage.directory={tmp_path}/file/data") as daemon:
        daemon.wait_ready()
        assert "data_not_locked" in daemon.log.decode()
        assert daemon.chat("hello")[0] == 200


def turn(text: str) -> dict[str, str]:
    return {"prompt": text, "session_id": "kitchen"}


def test_turns_are_not_told_as_stored_after_the_data_directory_was_deleted(tmp_path: Path) -> None:
    """Neither the one that runs nor one that begins; then the directory is made anew, with its lock, and keeps them."""
    data = tmp_path / "data"
    with running(f"storage.directory={data}") as daemon:
        daemon.wait_ready()
        stream = daemon.stream("/chat_stream", turn("slow repeat:2"))
        next(stream)
        shutil.rmtree(data)
        assert list(stream)[-1]["stored"] is False
        assert "deleted or moved away while open" in daemon.log.decode()

        status, _, body = daemon.request("POST", "/chat", turn("one"))
        assert (status, json.loads(body)["stored"]) == (200, True)
        shutil.rmtree(data)
        status, _, body = daemon.request("POST", "/chat", turn("two"))
        assert (status, json.loads(body)["error"]["code"]) == (503, "storage_failed")
        status, _, body = daemon.request("POST", "/chat", turn("three"))
        assert (status, json.loads(body)["stored"]) == (200, True)

        with running(f"storage.directory={data}") as second:
            assert second.wait_exit() == 69
        daemon.process.send_signal(signal.SIGKILL)
        daemon.wait_exit()
    with running(f"storage.directory={data}") as again:
        again.wait_ready()
        conversation = json.loads(again.request("GET", "/v1/sessions/kitchen/export")[2])
        assert [told["content"] for told in conversation["messages"] if told["role"] == "user"] == ["three"]
