"""Several answers to one request (`n`) end together."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from youtu_edge.front.answers.generation_stream import GenerationStream, collected, merged
from youtu_edge.protocol.from_engine import Accepted, Failed
from youtu_edge.request_errors import InvalidRequestError


class Source:
    """An open request whose events are those of a list, and none after them."""

    created = 0

    def __init__(self, *events: Any) -> None:
        self.submit = cast(
            "Any", type("Asked", (), {"id": "r", "punctuation": "repair", "grammar": None, "messages": None, "tools": None})
        )
        self.events = self
        self._events = list(events)

    async def get(self) -> Any:
        if self._events:
            return self._events.pop(0)
        return await asyncio.get_running_loop().create_future()


ACCEPTED, FAILED = Accepted("r", 1), Failed("r", InvalidRequestError.code, "no")


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_when_one_fails_nobody_goes_on_waiting_for_the_others(way: str) -> None:
    """What waited for ever would be closed by the collector of garbage, from the inside and the outside at once."""

    async def end_early(generations: list[GenerationStream]) -> None:
        if way == "whole":
            await collected(generations)
        async for _ in merged(generations):
            pass

    async def run() -> int:
        with pytest.raises(InvalidRequestError):
            await end_early([GenerationStream(Source(ACCEPTED)), GenerationStream(Source(ACCEPTED, FAILED))])
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
