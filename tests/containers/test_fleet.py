"""The replicas of config/fleet/compose.yaml as containers, behind their nginx, which runs as a process of this machine."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from containers.compose import read_compose
from containers.container import Container
from containers.image import Image
from fleet.balancer import balancer, why_not
from fleet.boards import NAMES
from fleet.clients import BOARD, Clients, Session
from systemd.machine import wait_until


def test_replicas_serve_behind_nginx_and_the_others_go_on_when_one_is_gone(
    image: Image, models: Path, tmp_path: Path
) -> None:
    """A conversation finds its replica by its id; what belongs to no replica is served by those that are left."""
    if reason := why_not("nginx"):
        pytest.skip(reason)
    compose = read_compose("config/fleet/compose.yaml", YOUTU_EDGE_MEMORY="500m", YOUTU_EDGE_ENGINE__THREADS="1")
    with contextlib.ExitStack() as stack:
        replicas = []
        for name in NAMES:
            directory = tmp_path / name
            directory.mkdir()
            replicas.append(stack.enter_context(Container(image, directory, models, service=compose.services[name])))
        for replica in replicas:
            replica.wait_healthy()
        clients = Clients(stack.enter_context(balancer("nginx", replicas, tmp_path)))
        assert {session.board for session in (Session(clients, f"s{number}") for number in range(9))} == set(NAMES)
        session = Session(clients, "kiosk")
        session.turn("Hello")
        assert session.kept() == ["Hello"]
        gone = next(replica for replica, name in zip(replicas, NAMES, strict=True) if name != session.board)
        gone.close()
        wait_until(lambda: gone.process.poll() is not None, 30, lambda: gone.log)
        for number in range(6):
            with clients.ask("POST", "/chat", {"prompt": f"Part {number}", "max_new_tokens": 4}) as answer:
                assert (answer.status, json.loads(answer.read())["usage"]["completion_tokens"]) == (200, 4)
                assert answer.headers[BOARD] != gone.service.hostname
        session.turn("And then?")
        assert session.kept() == ["Hello", "And then?"]
