"""The engine dies in every way; clients see only a pause, and the daemon's status is correct."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from front.scripted_daemon import PATHS, Daemon, running, wait_until
from youtu_edge.front.supervision.restart_budget import RestartBudget


def test_a_stream_continues_without_gap_or_repeat_after_two_sigkills() -> None:
    with running() as daemon:
        daemon.wait_ready()
        text = "The quick brown fox die@7 jumps over die@19 the lazy dog"
        chunks = list(
            daemon.stream("/v1/chat/completions", _body(text, stream=True, stream_options={"include_usage": True}))
        )
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]) == text
        assert chunks[-1]["usage"]["completion_tokens"] == len(text)
        assert chunks[-1]["usage"]["prompt_tokens"] == len(text)
        assert daemon.status()["restarts"] == 2
        assert daemon.metric("youtu_edge_engine_restarts_total") == 2


def test_an_answer_in_one_piece_survives_a_frame_that_was_torn_by_the_death() -> None:
    with running() as daemon:
        daemon.wait_ready()
        status, answer = daemon.chat("hello torn@4 world")
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "hello torn@4 world"), answer
        assert answer["usage"]["completion_tokens"] == len("hello torn@4 world")


def test_an_engine_that_hangs_in_a_step_is_killed_and_its_request_resumed() -> None:
    with running("service.step_deadline_s=2") as daemon:
        daemon.wait_ready()
        assert daemon.chat("abcdef hang@3 xyz")[1]["choices"][0]["message"]["content"] == "abcdef hang@3 xyz"
        assert daemon.stop() == 0
        assert b"finished no step for 2." in daemon.log


def test_an_idle_engine_that_was_stopped_is_replaced_too() -> None:
    with running("service.step_deadline_s=2") as daemon:
        daemon.wait_ready()
        os.kill(daemon.engine_pid(), signal.SIGSTOP)
        wait_until(lambda: daemon.status()["restarts"] == 1)
        assert daemon.chat("again")[0] == 200


def test_an_engine_is_not_blamed_for_a_time_in_which_the_daemon_stood_still_too() -> None:
    """A paused container or virtual machine: the same engine goes on, and the answer with it."""
    with running("service.step_deadline_s=1.5") as daemon:
        daemon.wait_ready()
        text = "slow but sure repeat:6"
        stream = daemon.stream("/chat_stream", {"prompt": text, "max_new_tokens": 1000})
        received = [next(stream)]
        both = daemon.process.pid, daemon.engine_pid()
        for pid in both:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        for pid in both:
            os.kill(pid, signal.SIGCONT)
        received += stream
        assert "".join(event.get("text", "") for event in received) == text * 6
        assert daemon.engine_pid() == both[1]
        assert daemon.status()["restarts"] == 0


def test_a_request_that_arrives_while_the_engine_restarts_waits_for_it(tmp_path: Path) -> None:
    held = tmp_path / "held"
    with running(engine=("--load-while", str(held))) as daemon:
        daemon.wait_ready()
        held.touch()
        daemon.kill_engine()
        wait_until(lambda: daemon.status()["state"] == "restarting")
        assert daemon.request("GET", "/readyz")[0] == 503
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(daemon.chat, "patience")
            wait_until(lambda: daemon.status()["unfinished_requests"] == 1)
            held.unlink()
            assert asked.result()[0] == 200


def test_when_the_budget_is_exhausted_requests_fail_by_name_and_the_daemon_exits_70() -> None:
    with running("service.max_restart_rate=1/300", engine=("--die-on-submit",)) as daemon:
        daemon.wait_ready()
        status, answer = daemon.chat("poison")
        assert (status, answer["error"]["code"]) == (503, "engine_gave_up")
        status, answer = daemon.chat("another")
        assert (status, answer["error"]["code"]) == (503, "engine_gave_up")
        assert daemon.wait_exit() == 70
        assert b"engine_gave_up" in daemon.log
        assert b"Traceback" not in daemon.log


def test_exit_code_78_of_the_engine_is_never_retried() -> None:
    with running(engine=("--exit", "78")) as daemon:
        assert daemon.wait_exit() == 78
        assert daemon.log.count(b"engine_started") == 1


def test_a_fatal_message_is_reported_in_its_own_words() -> None:
    with running(engine=("--fatal", "weights.bin is damaged", "--exit", "78")) as daemon:
        assert daemon.wait_exit() == 78
        assert daemon.log.splitlines()[-1] == b"youtu-edge: weights.bin is damaged"


def test_an_engine_that_never_becomes_ready_is_given_up_within_its_deadlines() -> None:
    with running("service.load_deadline_s=0.4", "service.max_restart_rate=1/300", engine=("--never-ready",)) as daemon:
        assert daemon.wait_exit() == 70
        assert b"was not ready for 0." in daemon.log


def test_an_engine_that_cannot_load_uses_up_its_budget() -> None:
    with running("service.max_restart_rate=2/300", engine=("--exit", "1")) as daemon:
        assert daemon.wait_exit() == 70
        assert daemon.log.count(b"engine_started") == 3


def test_the_engine_leaves_when_the_front_is_killed() -> None:
    with running() as daemon:
        daemon.wait_ready()
        engine = daemon.engine_pid()
        daemon.process.kill()
        wait_until(lambda: not os.path.exists(f"/proc/{engine}"))


def test_sigterm_lets_a_running_answer_finish() -> None:
    text = "slow but complete repeat:8"  # about four seconds
    with running("service.drain_s=60") as daemon:
        daemon.wait_ready()
        stream = daemon.stream("/chat_stream", {"prompt": text, "max_new_tokens": 4000})
        received = [next(stream)]
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: daemon.request("GET", "/readyz")[0] == 503)
        status, _, body = daemon.request("POST", "/chat", {"prompt": "too late"})
        assert (status, json.loads(body)["error"]["code"]) == (503, "unavailable")
        received += stream
        assert "".join(event.get("text", "") for event in received) == text * 8
        assert received[-1]["done"]
        assert daemon.wait_exit() == 0


def test_an_answer_longer_than_the_drain_ends_with_an_error_event() -> None:
    with running("service.drain_s=0.3") as daemon:
        daemon.wait_ready()
        stream = daemon.stream("/chat_stream", {"prompt": "slow repeat:1000", "max_new_tokens": 4000})
        next(stream)
        daemon.process.send_signal(signal.SIGTERM)
        assert list(stream)[-1]["error"]["code"] == "unavailable"
        assert daemon.wait_exit() == 0


def test_a_second_sigterm_ends_the_drain() -> None:
    with running("service.drain_s=60") as daemon:
        daemon.wait_ready()
        stream = daemon.stream("/chat_stream", {"prompt": "slow repeat:1000", "max_new_tokens": 4000})
        next(stream)
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.wait_exit() == 0


def test_a_busy_port_is_one_line_and_exit_code_69_before_an_engine_is_started() -> None:
    with running() as first, running(f"service.port={first.port}") as second:
        assert second.wait_exit() == 69
        assert second.log.decode() == (
            f"youtu-edge: 127.0.0.1:{first.port} is in use by serve_scripted.py (pid {first.process.pid}); "
            "stop it or change service.port\n"
        )


def test_systemd_is_told_about_readiness_watchdog_and_stopping(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(5)
        environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}
        with running("service.step_deadline_s=30", env=environment) as daemon:
            told: list[str] = []
            while told.count("WATCHDOG=1") < 3 or "READY=1" not in told:
                told.append(notify.recv(4096).decode())
            daemon.process.send_signal(signal.SIGTERM)
            while "STOPPING=1" not in told:
                told.append(notify.recv(4096).decode())
            assert daemon.wait_exit() == 0
    assert f"STATUS=serving scripted at http://127.0.0.1:{daemon.port}, 0 requests" in told
    loading = next(index for index, text in enumerate(told) if text.startswith("STATUS=loading /"))
    assert told.index("READY=1") > loading


def test_the_first_load_answers_503_with_a_reason(tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.touch()
    with running(engine=("--load-while", str(held))) as daemon:
        status, _, body = daemon.request("GET", "/readyz")
        assert (status, body) == (503, b"the engine is not ready: loading\n")
        status, headers, body = daemon.request("POST", "/chat", {"prompt": "x"})
        assert (status, json.loads(body)["error"]["code"]) == (503, "unavailable")
        assert int(headers["retry-after"]) > 0
        assert daemon.request("GET", "/livez")[0] == 200
        held.unlink()
        daemon.wait_ready()


def test_the_front_maps_no_numpy_runtime_or_tokenizer_and_stays_below_50_mb() -> None:
    with running() as daemon:
        daemon.wait_ready()
        threads = [threading.Thread(target=daemon.chat, args=(f"repeat:5 slow {n}",)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        daemon.request("GET", "/metrics")
        maps = Path(f"/proc/{daemon.process.pid}/maps").read_text().lower()
        assert not [name for name in ("numpy", "onnxruntime", "tokenizers", "llguidance") if name in maps]
        assert _memory(daemon) < 50_000_000


def test_the_budget_counts_restarts_within_its_period_and_waits_longer_each_time() -> None:
    now = 0.0
    budget = RestartBudget(3, 300, lambda: now)
    assert [budget.take() for _ in range(4)] == [0.2, 0.4, 0.8, None]
    now = 299.9
    assert budget.take() is None
    now = 300.0
    assert budget.take() == 0.2


def _memory(daemon: Daemon) -> int:
    resident: int = daemon.status()["memory"]["front_resident_bytes"]
    print("front resident bytes:", resident)
    return resident


def _body(text: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], **more}


def test_an_engine_of_another_program_is_reported_and_given_up() -> None:
    """Bytes that are no frames end the engine instead of confusing the front."""
    code = "import sys,socket; socket.socket(fileno=int(sys.argv[-1])).sendall(b'HTTP/1.1 400 Bad Request')"
    script = f"""
import sys
from youtu_edge.config_file import load_config
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.cli.serve import serve
try:
    serve(load_config(None, ["service.port=0", "service.max_restart_rate=1/300"]), [sys.executable, "-c", {code!r}])
except YoutuEdgeError as error:
    sys.exit(error.exit_code)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": PATHS},
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 70
    assert b"engine_protocol_error" in done.stderr
