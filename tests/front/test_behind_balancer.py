"""What a balancer in front of several boards relies on: readiness, load, the board's name, leaving."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from front.command import youtu_edge
from front.scripted_daemon import Daemon, running, wait_until
from front.session_calls import call, say
from youtu_edge.board_files import BoardFiles
from youtu_edge.board_name import board_name

LOAD = re.compile(r"running=(\d+), waiting=(\d+), free-pages=([01]\.\d\d)")


def load(daemon: Daemon) -> tuple[int, int]:
    found = LOAD.fullmatch(daemon.request("GET", "/readyz")[1]["x-youtu-edge-load"])
    assert found
    return int(found[1]), int(found[2])


def readiness(daemon: Daemon) -> tuple[int, bytes]:
    return daemon.request("GET", "/readyz")[::2]


def test_every_answer_tells_load_and_board() -> None:
    with running() as daemon:
        daemon.wait_ready()
        wait_until(lambda: load(daemon) == (0, 0))
        for method, path in (("GET", "/readyz"), ("GET", "/nowhere"), ("POST", "/chat"), ("GET", "/ui/main.js")):
            _, headers, _ = daemon.request(method, path, b"{}")
            if path.startswith("/ui/"):
                assert "x-youtu-edge-load" not in headers, "the page's first paint has to be small"
            else:
                assert LOAD.fullmatch(headers["x-youtu-edge-load"]), path
            assert re.fullmatch("[0-9a-f]{12}", headers["x-youtu-edge-board"]), path
            assert "set-cookie" not in headers, path
        stream = daemon.stream("/chat_stream", {"prompt": "slow repeat:100"})
        next(stream)
        wait_until(lambda: load(daemon) == (1, 0))
        stream.close()
        wait_until(lambda: load(daemon) == (0, 0))


def test_a_full_queue_is_not_ready_until_a_request_has_ended() -> None:
    with running("service.max_queue=1") as daemon:
        daemon.wait_ready()
        stream = daemon.stream("/chat_stream", {"prompt": "slow repeat:2000"})
        next(stream)
        assert readiness(daemon) == (503, b"the queue is full (service.max_queue)\n")
        health = youtu_edge("health", "--set", f"service.port={daemon.port}")
        assert (health.returncode, health.stdout) == (0, "the queue is full (service.max_queue)\n"), "it is healthy"
        stream.close()
        wait_until(lambda: readiness(daemon) == (200, b"ready\n"))


def test_an_engine_that_is_being_started_again_is_not_ready(tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    with running(engine=("--load-while", str(hold))) as daemon:
        daemon.wait_ready()
        hold.touch()
        daemon.kill_engine()
        wait_until(lambda: readiness(daemon) == (503, b"the engine is not ready: restarting\n"))
        hold.unlink()
        daemon.wait_ready()


def test_a_daemon_announces_its_leave_before_it_rejects_requests() -> None:
    with running("service.drain_delay_s=600") as daemon, ThreadPoolExecutor(1) as pool:
        daemon.wait_ready()
        kept = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
        kept.request("GET", "/livez")
        assert kept.getresponse().read() == b"ok\n"
        os.kill(daemon.process.pid, signal.SIGTERM)
        wait_until(lambda: readiness(daemon) == (503, b"the daemon is stopping\n"))
        assert daemon.status()["state"] == "draining"
        kept.request("POST", "/chat", json.dumps({"prompt": "still served"}))
        answer = kept.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (200, "close"), "a balancer must not keep it for later"
        assert json.loads(answer.read())["response"] == "still served"
        long = pool.submit(daemon.chat, "slow repeat:20")
        wait_until(lambda: load(daemon)[0] == 1)
        os.kill(daemon.process.pid, signal.SIGTERM)  # a second signal: at once
        assert daemon.wait_exit() == 0
        assert long.result()[0] in (200, 503)


def test_a_named_board_tells_its_name_in_cookie_and_ids() -> None:
    with running("service.board=line-1") as daemon:
        daemon.wait_ready()
        _, headers, data = daemon.request("POST", "/v1/responses", {"input": "hello"})
        assert headers["x-youtu-edge-board"] == "line-1"
        assert headers["set-cookie"] == "youtu_edge_board=line-1; Path=/; HttpOnly; SameSite=Lax"
        response_id = json.loads(data)["id"]
        assert re.fullmatch("resp_[0-9a-f]{32}@line-1", response_id)
        assert call(daemon, "GET", f"/v1/responses/{response_id}")[0] == 200
        assert "set-cookie" not in daemon.request("GET", "/livez", headers={"Cookie": "youtu_edge_board=line-1"})[1]
        moved = daemon.request("GET", "/livez", headers={"Cookie": "youtu_edge_board=line-2"})[1]
        assert moved["set-cookie"].startswith("youtu_edge_board=line-1;"), "it was served here, and what it keeps is here"


def test_what_an_id_says_is_kept_on_another_board_is_elsewhere() -> None:
    with running("service.board=line-1") as daemon:
        daemon.wait_ready()
        say(daemon, "kiosk@line-1", "hello")
        assert call(daemon, "GET", "/v1/sessions/kiosk@line-1")[0] == 200
        other = "resp_0123@line-2"
        asked = [
            call(daemon, "GET", "/v1/sessions/kiosk@line-2"),
            call(daemon, "DELETE", "/v1/sessions/kiosk%40line-2"),
            call(daemon, "POST", "/chat", {"prompt": "hello", "session_id": "kiosk@line-2"}),
            call(daemon, "GET", f"/v1/responses/{other}"),
            call(daemon, "DELETE", f"/v1/responses/{other}"),
            call(daemon, "POST", "/v1/responses", {"input": "hello", "previous_response_id": other}),
            call(daemon, "POST", "/v1/requests/chat-0123@line-2/cancel"),
        ]
        for status, document in asked:
            assert (status, document["error"]["code"]) == (404, "elsewhere"), document
            assert "board 'line-2'" in document["error"]["message"]
        assert asked[5][1]["error"]["param"] == "previous_response_id"
        for unknown in ("kiosk", "nobody@line-1"):
            status, document = call(daemon, "GET", f"/v1/sessions/{unknown}")
            assert (status, document["error"]["code"]) == (404, "not_found")


def test_a_board_keeps_its_name_and_differs_from_others(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for root, machine_id in ((one, "0123456789abcdef"), (two, "fedcba9876543210")):
        (root / "etc").mkdir(parents=True)
        (root / "etc" / "machine-id").write_text(f"{machine_id}\n")

    def name(root: Path, host: str = "edge", port: int = 8080) -> str:
        return board_name("", port=port, host_name=host, files=BoardFiles(root))

    assert name(one) == name(one)
    assert len({name(one), name(two), name(one, host="edge-2"), name(one, port=8081), name(tmp_path)}) == 5
    assert board_name("line-1", port=8080, host_name="edge", files=BoardFiles(one)) == "line-1"


@pytest.mark.parametrize("name", ["Line-1", "line_1", "-line", "line-", "a@b", "x" * 64])
def test_a_name_that_does_not_fit_everywhere_is_refused_at_the_start(name: str) -> None:
    with running(f"service.board={name}") as daemon:
        assert daemon.wait_exit() == 78
        assert b"is not a board name" in daemon.log
