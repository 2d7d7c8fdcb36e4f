"""The installed service under a real systemd: started, stopped, stuck, killed, misconfigured, reloaded."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from daemon_process import Stream, chat
from systemd.appliance import CONFIG, PACKAGE, SERVICE, Appliance, place_package
from systemd.machine import Machine, wait_until

DROP_IN = "/run/systemd/system/youtu-edge.service.d/test.conf"
STOP_ENGINE = """import os, signal, sys
if "--fd" in sys.orig_argv:
    os.kill(os.getpid(), signal.SIGSTOP)
"""
"""Loaded by every Python of the service: an engine stalls before it has loaded anything."""


@pytest.fixture(scope="module")
def installed(machine: Machine, package: Path) -> Appliance:
    """Installed from the wheelhouse, with a model, not started."""
    appliance = Appliance(machine)
    machine.run("/checkout/scripts/install", "--wheelhouse", "/wheelhouse", "--no-start")
    place_package(machine, package)
    return appliance


@pytest.fixture
def service(installed: Appliance) -> Iterator[Appliance]:
    """The service, ready, with its own configuration; stopped afterwards."""
    installed.configure()
    installed.start()
    yield installed
    installed.systemctl("stop", check=False)


def test_the_unit_is_clean_and_hardened(installed: Appliance) -> None:
    """systemd has no remark about it, and rates its exposure at 2.0 or less."""
    installed.configure()
    assert installed.machine.run("systemd-analyze", "verify", SERVICE).stdout == ""
    rated = installed.machine.run("systemd-analyze", "security", "--no-pager", SERVICE).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated)
    assert found, rated
    assert float(found[1]) <= 2.0, rated


def test_it_is_ready_when_a_token_was_produced_however_long_that_takes(installed: Appliance) -> None:
    """A slow load outlives TimeoutStartSec, because the daemon asks for more time; meanwhile it is not ready."""
    installed.configure()
    installed.machine.write("/opt/stop-engine/sitecustomize.py", STOP_ENGINE)
    installed.machine.write(DROP_IN, "[Service]\nTimeoutStartSec=2\nEnvironment=PYTHONPATH=/opt/stop-engine\n")
    try:
        installed.machine.run("systemctl", "daemon-reload")
        installed.systemctl("restart", "--no-block")
        engine = installed.engine_pid()
        installed.wait_until_stopped(engine)
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun > 4, 10)
        assert installed.show("ActiveState") == "activating", installed.journal()
        assert installed.show("StatusText").startswith(f"loading {PACKAGE}: ")
        assert installed.get("/readyz")[0] == 503
        installed.kill("CONT", engine)
        installed.wait_for("ActiveState", "active")
        assert installed.get("/readyz")[0] == 200
        installed.wait_for("StatusText", f"serving tiny at http://127.0.0.1:{installed.port}, 0 requests")
        assert installed.engine_pid() == engine
    finally:
        installed.machine.run("rm", DROP_IN)
        installed.machine.run("systemctl", "daemon-reload")
        installed.systemctl("stop")


def test_a_stop_lets_running_streams_finish(service: Appliance) -> None:
    """The streams end as they would have; systemd had to kill nothing."""
    body = chat("a last question", max_tokens=900)
    expected = service.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]
    streams = [Stream(service, body) for _ in range(2)]
    wait_until(lambda: all(stream.text for stream in streams), 30)
    service.systemctl("stop")
    for stream in streams:
        stream.join(10)
        assert not stream.error
        assert (stream.reason, stream.text) == ("length", expected)
    assert (service.show("ActiveState"), service.show("Result")) == ("inactive", "success")
    assert "SIGKILL" not in service.journal(), service.journal()


def test_a_stop_ends_streams_that_would_take_too_long(installed: Appliance) -> None:
    """After drain_s they get an error that says why, and the stop is as clean."""
    installed.configure(service__drain_s=0.5)
    installed.start()
    stream = Stream(installed, chat("tell me everything", max_tokens=8000))
    wait_until(lambda: stream.text, 30)
    installed.kill("STOP", installed.engine_pid())  # so that it cannot finish in time on a fast machine
    installed.systemctl("stop")
    stream.join(10)
    assert stream.reason == ""
    assert (installed.show("ActiveState"), installed.show("Result")) == ("inactive", "success")


def test_a_stuck_engine_is_replaced_and_every_stream_finishes(service: Appliance) -> None:
    """SIGSTOP of the engine: recovered within twice WatchdogSec, with the text of an undisturbed run."""
    body = chat("go on", max_tokens=3000)
    expected = service.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]
    front, engine = service.front_pid, service.engine_pid()
    streams = [Stream(service, body) for _ in range(4)]
    wait_until(lambda: all(stream.text for stream in streams), 30)
    service.kill("STOP", engine)
    seen, stuck_at = len(streams[0].text), time.monotonic()
    assert seen < len(expected), "the stream ended before the engine was stopped"
    wait_until(lambda: len(streams[0].text) > seen + 100, 2 * watchdog_s(service), service.journal)
    print(f"\nrecovered {time.monotonic() - stuck_at:.1f} s after SIGSTOP of the engine")
    for stream in streams:
        stream.join(60)
        assert not stream.error
        assert (stream.reason, stream.text) == ("length", expected)
    assert service.engine_pid() != engine
    assert (service.front_pid, service.show("NRestarts")) == (front, "0")


def test_a_stuck_front_is_restarted_by_the_watchdog(service: Appliance) -> None:
    """SIGSTOP of the front: systemd kills both processes and starts them again."""
    front, engine, cursor = service.front_pid, service.engine_pid(), service.cursor()
    service.kill("STOP", front)
    wait_until(lambda: service.show("NRestarts") == "1", 4 * watchdog_s(service), lambda: service.journal(cursor))
    service.wait_for("ActiveState", "active")
    assert "Watchdog timeout" in service.journal(cursor)
    assert service.ask({"prompt": "hello", "max_new_tokens": 4})[0] == 200
    assert service.front_pid != front
    assert service.machine.run("kill", "-0", str(engine), check=False).returncode != 0


def test_a_dying_engine_exhausts_its_budget_and_then_systemds(installed: Appliance) -> None:
    """Four deaths: 503 with the reason, exit code 70, a restart; three such lives: systemd gives up too."""
    installed.configure(service__max_restart_rate="3/300")
    installed.start()
    cursor, engine = installed.cursor(), 0
    refusals = set()
    for _ in range(4):
        engine = installed.engine_pid(other_than=engine)
        wait_until(lambda: installed.get("/readyz")[0] == 200, 30, installed.journal)
        installed.kill("KILL", engine)
    while (answer := installed.ask({"prompt": "hello"}))[0] == 503:
        refusals.add(answer[1]["error"]["code"])
    assert "engine_gave_up" in refusals, installed.journal(cursor)
    wait_until(lambda: "status=70" in installed.journal(cursor), 30, lambda: installed.journal(cursor))

    def has_given_up() -> bool:
        if installed.show("ActiveState") == "failed":
            return True
        installed.machine.run("pkill", "-KILL", "-f", "youtu_edge.engine", check=False)
        return False

    wait_until(has_given_up, 120, lambda: installed.journal(cursor))
    log = installed.journal(cursor)
    assert "Start request repeated too quickly" in log, log
    assert log.count("engine_gave_up reason=") == 3
    assert (installed.show("ExecMainStatus"), installed.show("NRestarts")) == ("70", "3")


def test_a_bad_configuration_is_not_tried_again(installed: Appliance) -> None:
    """Exit code 78, the line named in the journal, and no restart."""
    installed.configure()
    installed.systemctl("reset-failed", check=False)
    installed.machine.write(CONFIG, "service:\n  port: many\n")
    cursor = installed.cursor()
    assert installed.systemctl("start", check=False) != 0
    assert (installed.show("ActiveState"), installed.show("SubState")) == ("failed", "failed")
    assert (installed.show("ExecMainStatus"), installed.show("NRestarts")) == ("78", "0")
    assert f'{CONFIG}:2: key "service.port"' in installed.journal(cursor)


def test_a_reload_applies_what_it_can_and_refuses_a_bad_file(service: Appliance) -> None:
    """The same process goes on; what waits for a restart is in the status, a mistake makes systemctl fail."""
    front = service.front_pid
    service.write_config(service__max_body_bytes=100, memory__limit="500M")
    service.systemctl("reload")
    waiting = f"serving tiny at http://127.0.0.1:{service.port}, 0 requests; a restart is needed for memory.limit"
    service.wait_for("StatusText", waiting)
    assert service.post("/chat", {"prompt": "x" * 200})[0] == 413
    cursor = service.cursor()
    service.machine.write(CONFIG, "service: {max_body_bytes: -1}\n")
    assert service.systemctl("reload", check=False) != 0
    assert f'{CONFIG}:1: key "service.max_body_bytes"' in service.journal(cursor)
    assert service.post("/chat", {"prompt": "x" * 200})[0] == 413
    assert (service.show("ActiveState"), service.show("StatusText")) == ("active", waiting)
    assert service.front_pid == front


def test_log_lines_have_priorities(service: Appliance) -> None:
    """`journalctl -p warning` shows a death of the engine and not every request."""
    service.kill("KILL", service.engine_pid())
    wait_until(lambda: "engine_died" in service.journal(), 30)
    shown = service.machine.run("journalctl", "-u", SERVICE, "-p", "warning", "--no-pager", "-o", "cat").stdout
    assert "engine_died" in shown
    assert "engine_started" not in shown


def test_keys_made_by_root_work_at_once(service: Appliance) -> None:
    """`youtu-edge keys add` writes a file that the service can read, without a restart."""
    machine, cursor = service.machine, service.cursor()
    assert service.ask({"prompt": "hello", "max_new_tokens": 2})[0] == 200
    machine.run("youtu-edge", "keys", "add", "sensor")
    assert service.ask({"prompt": "hello", "max_new_tokens": 2})[0] == 401
    assert "keys_unusable" not in service.journal(cursor)
    machine.run("rm", "/var/lib/youtu-edge/keys.json")


def test_two_hundred_requests_stay_within_the_budget(installed: Appliance) -> None:
    """MemoryMax is the budget and 64 MB: nothing is killed, nothing fails, and the memory comes back."""
    installed.configure(
        memory__limit="180M",
        memory__return_after_s=1,
        memory__keep_prefixes_s=2,
        service__step_deadline_s=30,
    )
    installed.start()
    assert installed.show("MemoryMax") == str((180 + 64) << 20)
    random = Random(5)
    bodies = [
        {"prompt": "".join(random.choices("abcdefgh ", k=random.randint(1, 3000))), "max_new_tokens": random.randint(1, 60)}
        for _ in range(200)
    ]
    under_load(installed, bodies[:80])  # taken on first use and kept, so part of idle: the tokenizer remembers 10,000 words
    engine, idle = installed.engine_pid(), settled_memory(installed)
    peak = under_load(installed, bodies)
    print(f"\nPSS: {idle >> 20} MB idle, {peak >> 20} MB at most")
    assert (installed.engine_pid(), installed.show("NRestarts")) == (engine, "0")
    assert peak <= 180 << 20
    wait_until(lambda: installed.memory_bytes() <= 1.05 * idle, 60, lambda: f"{installed.memory_bytes()} of {idle} bytes")


def under_load(service: Appliance, bodies: list[dict[str, Any]]) -> int:
    """Send all requests, eight at a time; every one must succeed. Returns the peak memory."""
    peak = 0
    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(service.post, "/chat", body) for body in bodies]
        while not all(answer.done() for answer in answers):
            peak = max(peak, service.memory_bytes())
    assert [answer.result()[0] for answer in answers] == [200] * len(bodies)
    return peak


def settled_memory(service: Appliance) -> int:
    """Memory once it has not changed by more than 1 % for several seconds."""
    readings = [service.memory_bytes()]

    def is_settled() -> bool:
        time.sleep(1)
        readings.append(service.memory_bytes())
        last = readings[-6:]
        return len(last) == 6 and max(last) <= 1.01 * min(last)

    wait_until(is_settled, 60, lambda: str(readings))
    return readings[-1]


def watchdog_s(service: Appliance) -> float:
    """WatchdogSec of the unit."""
    found = re.search(r"(?m)^WatchdogSec=(\d+)$", service.machine.run("systemctl", "cat", SERVICE).stdout)
    assert found
    return float(found[1])
