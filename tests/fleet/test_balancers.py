"""Real nginx and HAProxy with the shipped files in front of three daemons, which die, stop and freeze."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from fleet.balancer import PROGRAMS, balancer, why_not
from fleet.boards import Board, boards
from fleet.clients import BOARD, Clients, Session
from fleet.load import CONCURRENT, work
from front.scripted_daemon import wait_until

REQUESTS = int(os.environ.get("YOUTU_EDGE_FLEET_REQUESTS", "480"))
"""2,000 for the figures of docs/fleet.md."""
FROZEN_S = 10.0


def skip_without(program: str) -> None:
    if reason := why_not(program):
        pytest.skip(reason)


def trouble(clients: Clients, three: list[Board]) -> None:
    """One board is killed and started again, then one is stopped and started again, then one is frozen for a while."""
    killed, stopped, frozen = three
    wait_until(lambda: clients.done >= REQUESTS * 0.15, timeout=300)
    killed.kill()
    wait_until(lambda: clients.done >= REQUESTS * 0.3, timeout=300)
    killed.start_again()
    wait_until(lambda: clients.done >= REQUESTS * 0.4, timeout=300)
    assert stopped.stop() == 0
    wait_until(lambda: clients.done >= REQUESTS * 0.55, timeout=300)
    stopped.start_again()
    wait_until(lambda: clients.done >= REQUESTS * 0.65, timeout=300)
    frozen.freeze()
    threading.Event().wait(FROZEN_S)
    frozen.thaw()


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_fails_before_its_first_byte_while_boards_die_stop_and_freeze(program: str, tmp_path: Path) -> None:
    skip_without(program)
    with boards(tmp_path) as three, balancer(program, three, tmp_path) as port:
        clients, sessions = Clients(port), dict[int, Session]()
        with ThreadPoolExecutor(CONCURRENT + 1) as pool:
            troubles = pool.submit(trouble, clients, three)
            workers: list[Future[None]] = [
                pool.submit(work, clients, worker, range(worker, REQUESTS, CONCURRENT), sessions)
                for worker in range(CONCURRENT)
            ]
            for future in (*workers, troubles):
                future.result()
        print(
            f"\n{program}: {clients.kinds.total()} requests {dict(clients.kinds)}, served {dict(clients.served)}, "
            f"cut {dict(clients.cut)}, elsewhere {dict(clients.elsewhere)}"
        )
        assert clients.failures == []
        assert set(clients.cut) <= {three[0].name}, "streams are cut on the killed board only"
        assert all(clients.served[board.name] > REQUESTS / 10 for board in three), "all boards worked"
        for session in sessions.values():
            assert session.kept() == session.prompts


@pytest.mark.parametrize("program", PROGRAMS)
def test_requests_that_belong_together_meet_the_same_board(program: str, tmp_path: Path) -> None:
    skip_without(program)
    with boards(tmp_path) as three, balancer(program, three, tmp_path) as port:
        clients = Clients(port)

        def board_of(headers: dict[str, str], path: str = "/livez") -> str:
            with clients.ask("GET", path, headers=headers) as answer:
                return str(answer.headers[BOARD])

        for name in (board.name for board in three):
            other = "line-1" if name != "line-1" else "line-2"
            assert {board_of({BOARD: name}) for _ in range(6)} == {name}
            assert {board_of({"Cookie": f"youtu_edge_board={name}"}) for _ in range(6)} == {name}
            assert board_of({BOARD: name, "Cookie": f"youtu_edge_board={other}"}) == name
            assert board_of({BOARD: other}, f"/v1/responses/resp_0@{name}") == name
            assert board_of({BOARD: other}, f"/v1/sessions/s%40{name}/export") == name
        keyed = {key: {board_of({"X-Youtu-Edge-Affinity": key}) for _ in range(4)} for key in map(str, range(12))}
        assert {len(found) for found in keyed.values()} == {1}, "a key stays on its board"
        assert len(set.union(*keyed.values())) > 1, "the keys are spread"


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_client_of_a_proxied_request_is_in_the_log(program: str, tmp_path: Path) -> None:
    skip_without(program)
    with boards(tmp_path) as three, balancer(program, three, tmp_path) as port:
        forged = {"X-Forwarded-For": "203.0.113.9"}
        with Clients(port).ask("POST", "/chat", {"prompt": "hello"}, forged) as answer:
            request, name = json.loads(answer.read())["request_id"], answer.headers[BOARD]
        log = next(board.daemon.log.decode() for board in three if board.name == name)
        (entry,) = [line for line in log.splitlines() if f"request id={request} " in line]
        assert " client=203.0.113.9" in entry, "the balancer's own address is trusted, and so is the whole of this machine"


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_any_board_the_answer_is_an_error_to_try_again(program: str, tmp_path: Path) -> None:
    skip_without(program)
    with boards(tmp_path) as three, balancer(program, three, tmp_path) as port:
        for board in three:
            board.kill()
        with Clients(port).ask("POST", "/chat", {"prompt": "hello"}) as answer:
            assert answer.status == 503
        three[1].start_again()
        wait_until(lambda: _is_served(port))


def _is_served(port: int) -> bool:
    with Clients(port).ask("POST", "/chat", {"prompt": "hello"}) as answer:
        return answer.status == 200
