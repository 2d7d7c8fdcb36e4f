"""Turns with an Idempotency-Key: they survive clients that leave, crashes of engine and daemon, and power cuts.

    begin ──> unfinished_turn ──> journal ──> engine ──> end in the journal ──> turn stored, unfinished_turn deleted
                    (1)             (2)                        (3)

A crash after (1) leaves nothing to do, after (2) the journal resumes the request, after (3) the answer is in the journal;
in each case the next start reads `unfinished_turn`, and stores the turn once. Clients only follow.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial

import msgspec

from youtu_edge.errors import StorageError, YoutuEdgeError
from youtu_edge.front.answers.generation_stream import Source
from youtu_edge.front.answers.pieces import Ended, Piece
from youtu_edge.front.conversations.conversations import Conversations, RunningTurn
from youtu_edge.front.conversations.turn import ConversationTurn, TurnStream
from youtu_edge.front.conversations.turn_prompt import TurnPrompt, TurnRequest
from youtu_edge.front.conversations.turns import Turn
from youtu_edge.front.durable.durable_request import Follower, ends_for_now
from youtu_edge.front.durable.durable_requests import DurableRequests
from youtu_edge.front.durable.headers import Durability
from youtu_edge.front.http.sse import EventNumbers
from youtu_edge.front.inflight.active_requests import ActiveRequest
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.log import line
from youtu_edge.request_errors import NotFoundError

log = logging.getLogger(__name__)


class Unfinished(msgspec.Struct, frozen=True):
    """What is known of a turn before it is answered."""

    request: TurnRequest
    asked: int
    """Unix time in seconds."""


class FollowedTurn(TurnStream):
    """A client's view of a durable turn; others may have their own."""

    def __init__(
        self,
        source: Source,
        session_id: str,
        turns: DurableTurns,
        names: Mapping[str, str],
        numbers: EventNumbers,
        earlier: str,
    ) -> None:
        super().__init__(source, session_id, names, numbers, earlier)
        self._turns = turns

    async def pieces(self) -> AsyncIterator[Piece]:
        """As in GenerationStream; the turn is in the database before `Ended` is yielded."""
        async for piece in super().pieces():
            if isinstance(piece, Ended):
                self.stored = await self._turns.stored(self.id)
            yield piece


class DurableTurns:
    """All of them. `open` is for handlers; `load`, `reopened` and `resume` are called once, at the start."""

    def __init__(self, conversations: Conversations, durable: DurableRequests) -> None:
        self._conversations = conversations
        self._durable = durable
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._left: dict[str, tuple[Unfinished, RunningTurn, TurnPrompt]] = {}
        """Those of the last process, until they are resumed."""
        self._reopened: dict[str, ActiveRequest] = {}

    async def open(
        self,
        wanted: Durability,
        body: bytes,
        submit: GenerationRequest,
        request: TurnRequest,
        names: Mapping[str, str],
    ) -> FollowedTurn:
        """The turn that this key began, or a new one. Raises as `open_turn`, `DurableRequests.begin`, or StorageError."""
        known = self._durable.known(wanted, body)
        if known is not None:
            submit = msgspec.structs.replace((await self._durable.entry(known)).submit, id=known)
            follower = self._durable.follow(known, submit)
        else:
            follower = await self._begin(wanted, body, submit, request)
        numbers = EventNumbers(next=1, seen=wanted.last_event)
        return FollowedTurn(follower, request.name.id, self, names, numbers, submit.sent_text)

    async def stored(self, request_id: str) -> Turn | None:
        """The turn that a request made, once it is stored; None if it could not be, or is deleted."""
        if (keeper := self._keepers.get(request_id)) is not None:
            await asyncio.wait({keeper})
        try:
            return await self._conversations.made_by(request_id)
        except StorageError:
            return None

    async def load(self) -> None:
        """Read what the last process left unfinished, and reserve the conversations. Before the requests are resumed."""
        for request_id, unfinished in (await self._conversations.unfinished(Unfinished)).items():
            request = unfinished.request
            try:
                prompt = TurnPrompt(await self._conversations.seen_by_model(request.name, request.place), request)
                running = self._conversations.begin(request.name, request_id)
            except YoutuEdgeError as error:
                log.error(line("turn_not_resumed", id=request_id, reason=error.message))
                self._conversations.forget_unfinished(request_id)
                continue
            running.is_submitted = True
            self._left[request_id] = unfinished, running, prompt

    def reopened(self, active: ActiveRequest) -> None:
        """A request of the last process goes on."""
        if (left := self._left.get(active.submit.id)) is not None:
            _, _, prompt = left
            active.shorten = partial(prompt.shorten, active.submit)
            self._reopened[active.submit.id] = active

    async def resume(self) -> None:
        """Store the turns of the last process when they end, or now if they have. After the requests were resumed."""
        for request_id, (unfinished, running, prompt) in self._left.items():
            try:
                entry = await self._durable.entry(request_id)
            except NotFoundError:  # the process ended before the request was in the journal
                self._conversations.release(running)
                self._conversations.forget_unfinished(request_id)
                continue
            follower = self._durable.follow(request_id, entry.submit)
            turn = ConversationTurn(follower, self._conversations, running, prompt, unfinished.request)
            turn.asked_at, turn.is_timed = unfinished.asked, False
            turn.active = self._reopened.get(request_id)
            self._watch(turn)
        self._left.clear()
        self._reopened.clear()

    async def close(self) -> None:
        """Stop reading; called when the requests have ended for this process."""
        keepers = list(self._keepers.values())
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    async def _begin(self, wanted: Durability, body: bytes, submit: GenerationRequest, request: TurnRequest) -> Follower:
        running = self._conversations.begin(request.name, submit.id)
        try:
            prompt = TurnPrompt(await self._conversations.seen_by_model(request.name, request.place), request)
            prompt.begin(submit)
            placed = msgspec.structs.replace(request, place=prompt.place)
            await self._conversations.note_unfinished(submit.id, Unfinished(placed, int(time.time())))
            opened: list[ActiveRequest] = []
            follower = self._durable.begin(wanted, body, submit, opened.append)
        except BaseException:
            self._conversations.release(running)
            self._conversations.forget_unfinished(submit.id)
            raise
        running.is_submitted = True
        if running.is_cancelled:
            self._durable.cancel(submit.id)
        turn = ConversationTurn(self._durable.follow(submit.id, submit), self._conversations, running, prompt, request)
        turn.active = opened[0]
        turn.active.shorten = partial(prompt.shorten, turn.active.submit)
        self._watch(turn)
        return follower

    def _watch(self, turn: ConversationTurn) -> None:
        self._keepers[turn.id] = asyncio.create_task(self._keep(turn))

    async def _keep(self, turn: ConversationTurn) -> None:
        """Read the answer to its end, which stores it."""
        try:
            async for _ in turn.pieces():
                pass
        except YoutuEdgeError as error:
            if not ends_for_now(error.code):
                self._conversations.forget_unfinished(turn.id)
        finally:
            turn.release()
            del self._keepers[turn.id]
