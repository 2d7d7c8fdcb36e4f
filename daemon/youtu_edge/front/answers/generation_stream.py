"""One answer as a stream: the events of a request turned into pieces.

    with generations.open(request, body, submit) as generation:
        await generation.accepted()            # raises the engine's rejection, before any status is sent
        async for piece in generation.pieces():
            ...                                # Thought, Text, ToolCallStart, ToolArguments, Silence; at last Ended

Leaving the block ends the request, also when the client has disconnected. Several answers to one request (`n`) are
several generations; `merged` yields their pieces as they arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from youtu_edge.errors import InternalError
from youtu_edge.front.admission.sampling import INT64_MAX
from youtu_edge.front.answers.answer_splitter import AnswerSplitter
from youtu_edge.front.answers.logprob_queue import LogprobQueue
from youtu_edge.front.answers.pieces import Answer, Ended, Piece, Silence, Text, Thought, ToolArguments, ToolCallStart
from youtu_edge.front.answers.punctuation import repaired
from youtu_edge.front.http.sse import KEEPALIVE_S, EventNumbers
from youtu_edge.front.inflight.failure import failure
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.from_engine import Accepted, Delta, Failed, Finished, TokenLogprob
from youtu_edge.protocol.prompt import ToolCall
from youtu_edge.tool_formats import format_named


class Events(Protocol):
    """The events of a request, in order."""

    async def get(self) -> Accepted | Delta | Finished | Failed:
        """The next one. A cancelled call loses none."""


class Source(Protocol):
    """The source of an answer: an active request, or a reader of a durable one."""

    @property
    def submit(self) -> GenerationRequest:
        """The request."""

    @property
    def created(self) -> int:
        """When the request was made, Unix time in seconds."""

    @property
    def events(self) -> Events:
        """Accepted first, Finished or Failed last."""


class GenerationStream:
    """The pieces of one answer. Thoughts and tool calls are recognised in chats, not in completions.

    `names`: the dialect's names of fields that an error may name, see failure.renamed. `numbers`: those of the events of
    its stream, if they have any. `earlier`: the text of the answer that this one continues; its pieces come after that.
    """

    def __init__(
        self,
        source: Source,
        names: Mapping[str, str] | None = None,
        numbers: EventNumbers | None = None,
        earlier: str = "",
    ) -> None:
        self.source = source
        self.numbers = numbers
        self._names = names or {}
        self._earlier = earlier
        self._accepted: Accepted | None = None

    @property
    def id(self) -> str:
        """The request's id."""
        return self.source.submit.id

    async def accepted(self) -> Accepted:
        """Wait until the engine has accepted the prompt; may be called again. Raises the engine's rejection."""
        if self._accepted is None:
            event = await self.source.events.get()
            if isinstance(event, Failed):
                raise failure(event, self._names)
            assert isinstance(event, Accepted), "the first event of a request is Accepted or Failed"
            self._accepted = event
        return self._accepted

    @property
    def created(self) -> int:
        """When the request was made, Unix time in seconds."""
        return self.source.created

    def pieces(self) -> AsyncIterator[Piece]:
        """All pieces up to `Ended`; `Silence` after KEEPALIVE_S without another. Raises the failure of the request."""
        submit = self.source.submit
        # An answer that follows a grammar must not be changed.
        return repaired(self._pieces()) if submit.punctuation == "repair" and submit.grammar is None else self._pieces()

    async def _pieces(self) -> AsyncIterator[Piece]:
        accepted = await self.accepted()
        submit = self.source.submit
        splitter = None
        if submit.messages is not None:
            form = format_named(accepted.tool_format) if submit.tools else None
            splitter = AnswerSplitter(self.id, in_thought=accepted.in_thought, form=form)
            splitter.push(self._earlier)
        logprobs = LogprobQueue()
        while True:
            event = await self._next_event()
            if isinstance(event, Delta):
                logprobs.push(event)
                was_text = splitter is None or splitter.is_text
                pieces: list[Piece] = [Text(event.text)] if splitter is None else splitter.push(event.text)
                released = logprobs.release()
                if was_text and (splitter is None or splitter.is_text):
                    pieces = _attach(pieces, released)
                for piece in pieces:
                    yield piece
            elif isinstance(event, Finished):
                for piece in splitter.finish(is_cut=event.reason != "stop") if splitter else []:
                    yield piece
                called = splitter is not None and splitter.num_calls > 0 and event.reason == "stop"
                yield Ended("tool_calls" if called else event.reason, event)
                return
            else:
                yield Silence()

    async def collect(self) -> Answer:
        """The whole answer. Raises the failure of the request."""
        text, thought, logprobs = list[str](), list[str](), list[TokenLogprob]()
        calls: list[ToolCallStart] = []
        arguments: list[str] = []
        async for piece in self.pieces():
            if isinstance(piece, Text):
                text.append(piece.text)
                logprobs += piece.logprobs
            elif isinstance(piece, Thought):
                thought.append(piece.text)
            elif isinstance(piece, ToolCallStart):
                calls.append(piece)
                arguments.append("")
            elif isinstance(piece, ToolArguments):
                arguments[piece.index] += piece.text
            elif isinstance(piece, Ended):
                made = [ToolCall(call.id, call.name, args) for call, args in zip(calls, arguments, strict=True)]
                return Answer("".join(text), "".join(thought), made, logprobs, piece.reason, piece.finished)
        raise InternalError("the answer ended without its final event")

    async def _next_event(self) -> Delta | Finished | None:
        """None after KEEPALIVE_S without an event."""
        try:
            async with asyncio.timeout(KEEPALIVE_S):
                event = await self.source.events.get()
        except TimeoutError:
            return None
        if isinstance(event, Failed):
            raise failure(event, self._names)
        assert not isinstance(event, Accepted), "a request is accepted once"
        return event


def _attach(pieces: list[Piece], logprobs: list[TokenLogprob]) -> list[Piece]:
    """Attach the log-probabilities to the first text among the pieces, or to a new empty one."""
    if not logprobs:
        return pieces
    for index, piece in enumerate(pieces):
        if isinstance(piece, Text):
            return [*pieces[:index], Text(piece.text, logprobs), *pieces[index + 1 :]]
    return [*pieces, Text("", logprobs)]


def copies(submit: GenerationRequest, count: int) -> list[GenerationRequest]:
    """`count` requests for answers to one prompt, with consecutive seeds; they share the prompt in the prefix cache."""
    return [_with_seed(submit, index) for index in range(count)]


def numbered(submits: Sequence[GenerationRequest]) -> list[GenerationRequest]:
    """The requests that serve one HTTP request: the first has its id, the others its id and a number."""
    return [
        submit if index == 0 else msgspec.structs.replace(submit, id=f"{submit.id}-{index}")
        for index, submit in enumerate(submits)
    ]


def _with_seed(submit: GenerationRequest, index: int) -> GenerationRequest:
    sampling = msgspec.structs.replace(submit.sampling, seed=(submit.sampling.seed + index) & INT64_MAX)
    return msgspec.structs.replace(submit, sampling=sampling)


async def collected(generations: Sequence[GenerationStream]) -> list[Answer]:
    """All whole answers. Raises the first failure of any of them, and cancels the others."""
    tasks = [asyncio.create_task(generation.collect()) for generation in generations]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _end(tasks)


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel running tasks and wait for them, so that their generators are closed now and not by the garbage collector."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def merged(generations: Sequence[GenerationStream]) -> AsyncGenerator[tuple[int, Piece], None]:
    """Pieces of all generations with their index, until all have ended. Raises the first failure of any of them."""
    news: asyncio.Queue[tuple[int, Piece | BaseException]] = asyncio.Queue()

    async def follow(index: int, generation: GenerationStream) -> None:
        try:
            async for piece in generation.pieces():
                news.put_nowait((index, piece))
        except Exception as error:
            news.put_nowait((index, error))

    tasks = [asyncio.create_task(follow(index, generation)) for index, generation in enumerate(generations)]
    try:
        unfinished = len(tasks)
        while unfinished:
            index, piece = await news.get()
            if isinstance(piece, BaseException):
                raise piece
            unfinished -= isinstance(piece, Ended)
            yield index, piece
    finally:
        await _end(tasks)
