"""`youtu-edge status`: one screen about the running daemon."""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from front.certificates import make_certificate
from front.command import Terminal, youtu_edge
from front.keys_command import add
from front.scripted_daemon import ENVIRONMENT, Daemon, running
from youtu_edge.cli.status_screen import screen

BOARD = {
    "temperatures": {"soc": 71.4},
    "governor": "ondemand",
    "frequency_mhz": 1800,
    "frequency_limit_mhz": 2400,
    "power_mode": "15W",
    "gpu_load": 0.5,
    "ddr_load": None,
    "throttled": True,
    "max_sequences": 2,
}


def rows(lines: list[str]) -> dict[str, str]:
    """Name of a row -> its text."""
    return {name: text for line in lines[1:] if line for name, text in [(line[:12].strip(), line[13:])]}


def url(daemon: Daemon) -> str:
    return f"http://127.0.0.1:{daemon.port}"


def test_a_ready_daemon_is_one_screen_and_exit_code_0(daemon: Daemon) -> None:
    """No more lines than a small terminal has, and no wider."""
    done = youtu_edge("status", "--url", url(daemon))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("youtu-edge ")
    assert f" at {url(daemon)}, up " in lines[0]
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    shown = rows(lines)
    assert shown["state"] == "ready"
    assert shown["new request"] == "accepted"
    assert shown["model"].startswith("scripted, context of 4096 tokens")
    assert shown["requests"] == "0 unfinished; sequences: 0 running, 0 waiting"
    assert shown["cache"] == "0 of 8 pages in use, 0 kept for reuse; 16 tokens each"
    assert shown["device"] == "cpu"
    assert "tokens/s" not in shown  # one sample has no speed


def test_the_address_is_that_of_the_configuration(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"service: {{port: {daemon.port}}}\n")
    for arguments in (("--config", f"{tmp_path}/c.yaml", "status"), ("status", "--set", f"service.port={daemon.port}")):
        done = youtu_edge(*arguments)
        assert (done.returncode, done.stderr) == (0, "")


def test_json_is_the_answer_of_the_daemon(daemon: Daemon) -> None:
    done = youtu_edge("status", "--url", url(daemon), "--json")
    assert json.loads(done.stdout).keys() == daemon.status().keys()


def test_a_daemon_that_is_not_ready_is_exit_code_1() -> None:
    """And what a new request would get is shown."""
    with running(engine=("--never-ready",)) as loading:
        done = youtu_edge("status", "--url", url(loading))
        loading.kill_engine()  # it would outlive the daemon
    assert done.returncode == 1
    shown = rows(done.stdout.splitlines())
    assert shown["state"] == "loading"
    assert shown["model"] == "none is loaded"
    assert shown["new request"]


def test_without_a_daemon_it_is_one_line_and_exit_code_69() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = youtu_edge("status", "--url", address)
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr.startswith(f"youtu-edge: no answer from {address}: ")
    assert done.stderr.count("\n") == 1


def test_a_key_is_read_from_a_file(guarded: Daemon, tmp_path: Path) -> None:
    """Without it, the daemon's own words and exit code 1."""
    done = youtu_edge("status", "--url", url(guarded))
    assert (done.returncode, done.stdout) == (1, "")
    assert "key" in done.stderr
    (tmp_path / "key").write_text(add(tmp_path, "screen", "--scopes", "metrics"))
    assert youtu_edge("status", "--url", url(guarded), "--key-file", f"{tmp_path}/key").returncode == 0


def test_the_certificate_of_the_configuration_is_trusted(tmp_path: Path) -> None:
    """It is the daemon's own; another one that answers on its port is not."""
    make_certificate(tmp_path, "device")
    (tmp_path / "other").mkdir()
    make_certificate(tmp_path / "other", "device")
    served = [f"service.tls_certificate={tmp_path}/cert.pem", f"service.tls_key={tmp_path}/key.pem"]
    with running(*served) as daemon:
        ours = ["--set", f"service.port={daemon.port}", "--set", served[1]]
        done = youtu_edge("status", *ours, "--set", served[0])
        assert "https://127.0.0.1" in done.stdout
        done = youtu_edge("status", *ours, "--set", f"service.tls_certificate={tmp_path}/other/cert.pem")
        assert done.returncode == 69
        assert "certificate verify failed" in done.stderr


def test_another_program_on_the_port_is_recognised() -> None:
    """Whatever it answers with status 200."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "youtu_edge", "status", "--url", address]
        asking = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
            out, err = asking.communicate(timeout=20)
    assert (asking.returncode, out) == (1, "")
    assert err.startswith(f"youtu-edge: {address}: the answer to GET /v1/status is not that of youtu-edge")


def test_the_interval_of_watch_has_bounds() -> None:
    done = youtu_edge("status", "--watch", "nan")
    assert done.returncode == 2
    assert done.stderr.startswith("youtu-edge: argument --watch: 'nan' is not a number of seconds from 0.1 to 3600")


def test_watch_repeats_the_screen_with_tokens_per_second_until_ctrl_c(daemon: Daemon) -> None:
    """In place, in a terminal."""
    terminal = Terminal("status", "--url", url(daemon), "--watch", "0.1", term="xterm")
    terminal.read_until("\x1b[H\x1b[Jyoutu-edge ")
    terminal.read_until("tokens/s     0.0 generated, 0.0 of prompts")
    terminal.read_until("\x1b[H\x1b[Jyoutu-edge ")
    terminal.write("\x03")
    assert terminal.wait() == 0


def test_watch_goes_on_when_the_daemon_is_gone() -> None:
    """And its exit code is that of the last screen. As JSON, each answer is one line."""
    with running() as daemon:
        command = [sys.executable, "-m", "youtu_edge", "status", "--url", url(daemon.wait_ready()), "--watch=0.1", "--json"]
        watching = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert watching.stdout
        assert watching.stderr
        assert [json.loads(watching.stdout.readline())["state"] for _ in range(2)] == ["ready", "ready"]
        assert daemon.stop() == 0
        for _ in range(2):
            assert watching.stderr.readline().startswith(f"youtu-edge: no answer from {url(daemon)}: ")
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=20)
        assert watching.returncode == 69


@pytest.fixture
def document(daemon: Daemon) -> dict[str, Any]:
    return daemon.status()


def test_the_speed_is_measured_by_the_clock_of_the_daemon(document: dict[str, Any]) -> None:
    """A daemon that was restarted between two answers has none."""
    later = copy.deepcopy(document)
    later["uptime_s"] += 4
    later["engine"]["decode_tokens"] += 50
    later["engine"]["prefill_tokens"] += 800
    assert rows(screen(later, "x", document))["tokens/s"] == "12.5 generated, 200.0 of prompts"
    assert "tokens/s" not in rows(screen(document, "x", later))


def test_memory_is_compared_with_the_budget(document: dict[str, Any]) -> None:
    """Front and engine together; a GPU with memory of its own has a budget of its own."""
    mib = 1 << 20
    document["memory"] |= {"front_resident_bytes": 50 * mib, "engine_resident_bytes": 950 * mib}
    document["memory"]["engine_plan_bytes"] = {"budget": 2000 * mib, "front": 64 * mib}
    assert rows(screen(document, "x"))["memory"] == "front 50 + engine 950 = 1000 of 2000 MiB (50 %)"
    document["memory"]["engine_plan_bytes"]["front"] = 0
    assert rows(screen(document, "x"))["memory"] == "front 50 + engine 950 = 1000 MiB; budget of the GPU 2000 MiB"


def test_heat_and_crashes_and_refusals_are_shown(document: dict[str, Any]) -> None:
    document |= {"board": BOARD, "degraded": "minimum batch", "restarts": 3}
    document["accepting"] = {"code": "memory_pressure", "message": "short of\x1b[2J memory"}
    shown = rows(screen(document, "x"))
    assert shown["board"] == (
        "soc 71 °C; throttled; heat limits the batch to 2; 1800 of 2400 MHz; power mode 15W; governor ondemand; "
        "gpu load 50 %"
    )
    assert shown["state"] == "ready, degraded after crashes: minimum batch"
    assert shown["restarts"] == "3 after a death of the engine, 0 planned"
    assert shown["new request"] == "rejected: memory_pressure: short of\\x1b[2J memory"


def test_a_package_that_was_refused_is_named(document: dict[str, Any]) -> None:
    document["package"] = {"version": "b", "on_trial": True, "refused": {"version": "c", "reason": "bad", "back_to": "b"}}
    assert rows(screen(document, "x"))["package"] == ("b, on trial until its first answer, c was refused: bad; back to b")
    assert os.linesep not in "".join(screen(document, "x"))
