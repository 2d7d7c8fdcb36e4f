"""How the engine handles each message from the front."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from score import open_model
from tiny_model import make_tiny_package
from youtu_edge.allocator import Allocator
from youtu_edge.config import Config, MemoryConfig
from youtu_edge.engine.incoming import read
from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.loop import Loop
from youtu_edge.engine.memory.idle_memory import IdleMemory
from youtu_edge.engine.scheduler import Scheduler
from youtu_edge.engine.service import handle, make_loop
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.protocol.from_engine import Accepted, Failed, FromEngine, Reply
from youtu_edge.protocol.to_engine import Query, SamplingParams, Start, Submit, ToEngine, Tokenize


class Engine:
    """A loop over the tiny model, and the messages that it sent."""

    def __init__(self, package: Path) -> None:
        runner, prompter, tokenizer = open_model(package, 256)
        self.sent: list[FromEngine] = []
        pool = PagePool(64, 32)
        scheduler = Scheduler(pool, max_sequences=4, step_tokens=256)
        self.loop: Loop = make_loop(runner, scheduler, tokenizer, prompter, self.sent.append, max_stall_s=1.0)
        self.memory = IdleMemory(runner, pool, Allocator(), MemoryConfig(), time.monotonic)

    def tell(self, message: ToEngine, *, has_room: bool) -> FromEngine:
        """Handle a message and return the engine's first answer."""
        self.sent.clear()
        handle(read(msgspec.msgpack.encode(message)), self.loop, self.memory, has_room=has_room)
        deadline = time.monotonic() + 60
        while not any(isinstance(sent, Accepted | Failed | Reply) for sent in self.sent):
            assert time.monotonic() < deadline
            self.loop.admit()
        return next(sent for sent in self.sent if isinstance(sent, Accepted | Failed | Reply))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(make_tiny_package(tmp_path_factory.mktemp("messages") / "package"))


REQUEST = Submit("r", SamplingParams(), 2, prompt="hello")
QUERY = Query("q", Tokenize("hello", add_special=True))


@pytest.mark.parametrize("message", [REQUEST, QUERY], ids=["request", "query"])
def test_while_others_have_the_memory_for_requests_new_work_is_refused_and_later_taken_in(
    engine: Engine, message: Submit | Query
) -> None:
    refused = engine.tell(message, has_room=False)
    assert isinstance(refused, Failed)
    assert (refused.id, refused.code) == (message.id, "unavailable")
    assert "the memory for requests is in use by other requests; try again later" in refused.message
    assert isinstance(engine.tell(message, has_room=True), Accepted | Reply)


def test_what_an_earlier_engine_began_is_taken_in_all_the_same(engine: Engine) -> None:
    begun = msgspec.structs.replace(REQUEST, id="begun", sent_tokens=[5], sent_text="x")
    assert isinstance(engine.tell(begun, has_room=False), Accepted)


def test_a_message_that_has_no_place_between_steps_is_named(engine: Engine) -> None:
    with pytest.raises(YoutuEdgeError, match="the front sent Start, which the running engine does not accept"):
        handle(Start(Config()), engine.loop, engine.memory, has_room=True)
