"""Requests that kill engines are identified and failed; other requests on the same engine are not."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from front.scripted_daemon import Daemon, running, wait_until

CHAT = "/v1/chat/completions"


def ask_and_leave(daemon: Daemon, text: str, until: Callable[[], object], path: str = CHAT) -> None:
    """A client that is gone once `until` holds."""
    body = {"content": text} if path == "/tokenize" else {"messages": [{"role": "user", "content": text}]}
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
    connection.request("POST", path, json.dumps(body))
    wait_until(until)
    connection.close()
    wait_until(lambda: daemon.status()["unfinished_requests"] == 0)


class Asking(threading.Thread):
    """One chat in the background."""

    def __init__(self, daemon: Daemon, text: str) -> None:
        super().__init__(daemon=True)
        self.asked, self._daemon_process = text, daemon
        self.status, self.answer = 0, dict[str, Any]()
        self.start()

    def run(self) -> None:
        body = {"messages": [{"role": "user", "content": self.asked}]}
        with contextlib.suppress(OSError, http.client.HTTPException):  # a test may end the daemon before the answer
            self.status, _, data = self._daemon_process.request("POST", "/v1/chat/completions", body)
            self.answer = json.loads(data)

    @property
    def text(self) -> str:
        self.join(30)
        assert self.status == 200, self.answer
        content: str = self.answer["choices"][0]["message"]["content"]
        return content


def ask_together(daemon: Daemon, texts: list[str]) -> list[Asking]:
    """All of them in the engine's hands before the first token: they wait for an engine that restarts."""
    daemon.kill_engine()
    wait_until(lambda: daemon.status()["state"] == "restarting")
    asked = [Asking(daemon, text) for text in texts]
    for one in asked:
        one.join(40)
    return asked


def test_a_request_that_kills_two_engines_is_failed_and_the_budget_is_as_before() -> None:
    with running("service.max_restart_rate=1/300") as daemon:
        daemon.wait_ready()
        for text in ("poison segv@1", "poison second!", "another segv@2"):
            status, answer = daemon.chat(text)
            assert (status, answer["error"]["code"]) == (500, "poison_request"), answer
        assert daemon.chat("all is well")[0] == 200
        assert daemon.status()["restarts"] == 6
        assert daemon.status()["degraded"] is None
        assert daemon.metric("youtu_edge_poison_requests_total") == 3
        assert daemon.stop() == 0
        assert daemon.log.count(b"poison_request id=") == 3


def test_the_same_question_is_not_asked_a_third_engine() -> None:
    with running() as daemon:
        daemon.wait_ready()
        assert daemon.chat("poison segv@2")[0] == 500
        restarts = daemon.status()["restarts"]
        status, answer = daemon.chat("poison segv@2")
        assert (status, answer["error"]["code"]) == (500, "poison_request")
        assert daemon.status()["restarts"] == restarts
        assert daemon.chat("poison no more")[0] == 200


def test_among_eight_only_the_poison_fails() -> None:
    innocents = [f"innocent number {index} repeat:4" for index in range(7)]
    with running("service.max_restart_rate=3/300", engine=("--load-seconds", "0.6")) as daemon:
        daemon.wait_ready()
        asked = ask_together(daemon, [*innocents[:3], "slow poison segv@5", *innocents[3:]])
        assert [one.text for one in asked if "poison" not in one.asked] == [text * 4 for text in innocents]
        poison = asked[3]
        assert (poison.status, poison.answer["error"]["code"]) == (500, "poison_request")
        assert daemon.status()["restarts"] == 3


def test_two_poisons_at_once_are_both_found() -> None:
    innocents = [f"innocent number {index} repeat:4" for index in range(4)]
    with running("service.max_restart_rate=4/300", engine=("--load-seconds", "0.6")) as daemon:
        daemon.wait_ready()
        asked = ask_together(daemon, [innocents[0], "poison a segv@5", *innocents[1:3], "poison b segv@5", innocents[3]])
        assert [one.text for one in asked if "poison" not in one.asked] == [text * 4 for text in innocents]
        assert [one.answer["error"]["code"] for one in asked if "poison" in one.asked] == ["poison_request"] * 2
        assert daemon.chat("all is well")[0] == 200


def test_a_request_in_whose_step_an_engine_loops_for_ever_is_poison_too() -> None:
    with running("service.step_deadline_s=2", "service.max_restart_rate=1/300") as daemon:
        daemon.wait_ready()
        status, answer = daemon.chat("endless spin@4")
        assert (status, answer["error"]["code"]) == (500, "poison_request")
        assert daemon.chat("all is well")[0] == 200


def test_a_stream_that_fails_as_poison_ends_with_an_error_event() -> None:
    with running() as daemon:
        daemon.wait_ready()
        events = list(daemon.stream("/chat_stream", {"prompt": "abc segv@4"}))
        assert "".join(event.get("text", "") for event in events) == "abc"
        assert events[-1]["error"]["code"] == "poison_request"


def test_a_kill_from_outside_makes_nobody_a_suspect() -> None:
    """Three SIGKILLs during the same request use the budget up to its end, and the request goes on."""
    with running() as daemon:
        daemon.wait_ready()
        asked = Asking(daemon, "quiet please")
        for count in range(3):
            daemon.wait_ready()
            wait_until(lambda: daemon.status()["unfinished_requests"] == 1)
            daemon.kill_engine()
            wait_until(lambda count=count: daemon.status()["restarts"] == count + 1)
        daemon.wait_ready()
        assert asked.is_alive()
        assert daemon.status()["unfinished_requests"] == 1


@pytest.mark.parametrize("path", [CHAT, "/tokenize"])
def test_what_kills_engines_stays_a_suspect_although_every_client_leaves_after_the_first_death(path: str) -> None:
    """Three such clients, with a budget of one restart: the second death convicts, and the third client is refused."""
    text = "die-always" if path == "/tokenize" else "poison segv@2"
    with running("service.max_restart_rate=1/300") as daemon:
        daemon.wait_ready()
        for count in (1, 2):
            ask_and_leave(daemon, text, lambda count=count: daemon.status()["restarts"] == count, path)
            daemon.wait_ready()
        body = {"content": text} if path == "/tokenize" else {"messages": [{"role": "user", "content": text}]}
        status, _, data = daemon.request("POST", path, body)
        assert (status, json.loads(data)["error"]["code"]) == (500, "poison_request")
        assert daemon.status()["restarts"] == 2
        assert daemon.status()["degraded"] is None
        assert daemon.chat("all is well")[0] == 200
        assert daemon.stop() == 0
        assert daemon.log.count(b"poison_request id=") == 1


@pytest.mark.parametrize("how", ["leaves", "has no time", "cancels"])
def test_what_an_engine_dies_of_after_its_client_has_gone_is_found_all_the_same(how: str) -> None:
    """The engine loops for ever in the request's step, and is killed long after nobody waits for the answer."""
    with running("service.step_deadline_s=1", "service.max_restart_rate=1/300") as daemon:
        daemon.wait_ready()
        text, body = "spin@2", {"messages": [{"role": "user", "content": "spin@2"}], "stream": True}
        for count in (1, 2):
            if how == "has no time":
                status, _, data = daemon.request("POST", CHAT, body, {"X-Request-Timeout-S": "0.5"})
                assert (status, b'"content":"s"' in data) == (200, True)
            else:
                stream = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
                stream.request("POST", CHAT, json.dumps(body))
                response = stream.getresponse()
                while b'"content":"s"' not in response.readline():  # then the engine is at the next token
                    pass
                if how == "cancels":
                    request_id = response.getheader("X-Request-Id")
                    assert daemon.request("POST", f"/v1/requests/{request_id}/cancel")[0] == 200
                response.close()
                stream.close()
            wait_until(lambda count=count: daemon.status()["restarts"] == count)
            daemon.wait_ready()
        status, answer = daemon.chat(text)
        assert (status, answer["error"]["code"]) == (500, "poison_request")
        assert daemon.status()["restarts"] == 2


def test_all_answers_to_one_poison_fail_with_the_first_that_is_found() -> None:
    with running("service.max_restart_rate=2/300") as daemon:
        daemon.wait_ready()
        status, answer = daemon.chat("poison segv@1", n=4)
        assert (status, answer["error"]["code"]) == (500, "poison_request")
        assert daemon.status()["restarts"] == 2
