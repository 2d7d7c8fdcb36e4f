"""A turn of a conversation before the engine knows of it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from youtu_edge.config import StorageConfig
from youtu_edge.front.conversations.conversation import Name
from youtu_edge.front.conversations.conversations import Conversations
from youtu_edge.front.conversations.turn import open_turn
from youtu_edge.front.conversations.turn_prompt import TurnRequest
from youtu_edge.front.http.board import Board
from youtu_edge.front.inflight.active_requests import ActiveRequest, ActiveRequests
from youtu_edge.protocol.to_engine import SamplingParams, Submit

NAME = Name("kitchen", "s")
SUBMIT = Submit(id="chat-1", sampling=SamplingParams(), max_new_tokens=4)
SAID = TurnRequest(name=NAME, prompt="hello", system=None, reserve_tokens=4, is_streamed=False)


class Admission:
    """Notes what is handed to the engine and what is cancelled there."""

    def __init__(self) -> None:
        self.active_requests = ActiveRequests(lambda: 0.0)
        self.cancelled: list[str] = []

    def open(self, submit: Submit) -> ActiveRequest:
        return self.active_requests.open(submit)

    def cancel(self, request_id: str) -> bool:
        self.cancelled.append(request_id)
        return True

    def close(self, active: ActiveRequest) -> None:
        self.active_requests.abandon(active)


async def stopped(directory: Path, owner: str) -> tuple[bool, bool, list[str]]:
    """A turn that `owner` stops while its session is read: whether that is taken, then or later; what the engine hears."""
    conversations, admission, disk = (
        Conversations(StorageConfig(directory=str(directory)), Board("here", is_named=False), print),
        Admission(),
        threading.Event(),
    )
    conversations.database.start()
    conversations.database.submit(lambda _: disk.wait(20))

    async def ask() -> bool:
        async with open_turn(conversations, admission, SUBMIT, SAID):  # type: ignore[arg-type]  # it notes the same calls
            return conversations.cancel(owner, SUBMIT.id)

    asking = asyncio.ensure_future(ask())
    await asyncio.sleep(0)
    assert conversations.running(NAME) is not None
    early = conversations.cancel(owner, SUBMIT.id)
    assert admission.cancelled == []
    disk.set()
    late = await asking
    await conversations.database.close()
    return early, late, admission.cancelled


def test_a_turn_can_be_stopped_while_its_session_is_still_being_read(tmp_path: Path) -> None:
    """The engine is told as soon as it has the request; from then on `Admission` knows it."""
    assert asyncio.run(stopped(tmp_path, "kitchen")) == (True, False, ["chat-1"])


def test_nobody_stops_the_turn_of_another_key(tmp_path: Path) -> None:
    assert asyncio.run(stopped(tmp_path, "garage")) == (False, False, [])
