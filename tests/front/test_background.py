"""Responses in the background: begun by one client, finished whatever dies, read by anybody who knows the id."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from front.scripted_daemon import Daemon, running, wait_until

TEXT = "slow The quick brown fox jumps over the lazy dog"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(f"storage.directory={tmp_path_factory.mktemp('data')}") as started:
        yield started.wait_ready()
        assert started.stop() == 0


def client_of(daemon: Daemon) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{daemon.port}/v1", api_key="none", max_retries=0)


def finished(client: openai.OpenAI, response_id: str) -> Any:
    """The response, when it has ended."""
    found: list[Any] = []
    wait_until(lambda: found.append(client.responses.retrieve(response_id)) or found[-1].status != "in_progress")  # type: ignore[func-returns-value]
    return found[-1]


def test_a_response_is_made_while_nobody_waits(daemon: Daemon) -> None:
    """It is answered at once as in progress, can be watched growing, and ends complete; the next one may go on from it."""
    with client_of(daemon) as client:
        begun = client.responses.create(model="default", input=TEXT, background=True, metadata={"shift": "7"})
        assert (begun.status, begun.background, begun.output) == ("in_progress", True, [])
        response = finished(client, begun.id)
        assert (response.status, response.output_text, response.metadata) == ("completed", TEXT, {"shift": "7"})
        assert response.usage.output_tokens == len(TEXT)
        assert client.responses.create(model="default", input="x", previous_response_id=begun.id).output_text == "x"


def test_its_events_can_be_told_again_from_any_of_them(daemon: Daemon) -> None:
    """Also while it is being made; both ways to say where to begin mean the same."""
    with client_of(daemon) as client:
        stream = client.responses.create(model="default", input=TEXT, background=True, stream=True)
        first = [event for event, _ in zip(stream, range(6), strict=False)]
        stream.close()
        response_id = first[0].response.id  # type: ignore[union-attr]
        rest = list(client.responses.retrieve(response_id, stream=True, starting_after=first[-1].sequence_number))
        events = [*first, *rest]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
        assert events[-1].type == "response.completed"
        again = client.responses.retrieve(response_id, stream=True, extra_headers={"Last-Event-ID": "5"})
        assert [event.model_dump() for event in again] == [event.model_dump() for event in events[6:]]


def test_a_running_response_can_be_cancelled(daemon: Daemon) -> None:
    """What there is by then is kept."""
    with client_of(daemon) as client:
        begun = client.responses.create(model="default", input=f"repeat:50 {TEXT}", background=True)
        wait_until(lambda: client.responses.retrieve(begun.id).output)
        client.responses.cancel(begun.id)
        response = finished(client, begun.id)
        assert response.status == "cancelled"
        assert f"repeat:50 {TEXT}".startswith(response.output_text[:20])


def test_the_same_key_begins_one_response(daemon: Daemon) -> None:
    """A client that did not hear the answer asks once more."""
    with client_of(daemon) as client:
        ids = {
            client.responses.create(
                model="default", input="hello", background=True, extra_headers={"Idempotency-Key": "bg"}
            ).id
            for _ in range(3)
        }
        assert len(ids) == 1
        assert finished(client, ids.pop()).output_text == "hello"


def test_after_kill_9_the_next_start_finishes_and_stores_it(tmp_path: Path) -> None:
    """Its events have the numbers and the text that they would have had."""
    with running(f"storage.directory={tmp_path / 'data'}") as daemon, client_of(daemon.wait_ready()) as client:
        stream = client.responses.create(model="default", input=TEXT, background=True, stream=True)
        seen = [event for event, _ in zip(stream, range(12), strict=False)]
        daemon.process.send_signal(signal.SIGKILL)
    response_id = seen[0].response.id  # type: ignore[union-attr]
    with running(f"storage.directory={tmp_path / 'data'}") as daemon, client_of(daemon.wait_ready()) as client:
        assert finished(client, response_id).output_text == TEXT
        seen += list(client.responses.retrieve(response_id, stream=True, starting_after=seen[-1].sequence_number))
        assert [event.sequence_number for event in seen] == list(range(len(seen)))
        assert "".join(event.delta for event in seen if event.type == "response.output_text.delta") == TEXT
        assert daemon.stop() == 0
    with running(f"storage.directory={tmp_path / 'data'}") as daemon, client_of(daemon.wait_ready()) as client:
        assert client.responses.retrieve(response_id).output_text == TEXT


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("POST", "/v1/responses", {"input": "x", "background": True, "store": False}, 400, "store"),
        ("GET", "/v1/responses/resp_1?starting_after=3", None, 400, "starting_after"),
        ("GET", "/v1/responses/resp_1?stream=true", None, 404, "response_id"),
        ("GET", "/v1/responses/resp_1", None, 404, "response_id"),
        ("POST", "/v1/responses", {"input": "long", "background": True}, 400, "input"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    daemon: Daemon, method: str, path: str, body: Any, status: int, param: str
) -> None:
    """In the words of the other routes."""
    answered, _, data = daemon.request(method, path, body)
    assert (answered, json.loads(data)["error"]["param"]) == (status, param)
