"""One turn of a conversation: the prompt is the history, and the answer is stored before the client sees its end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from youtu_edge.errors import StorageError
from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.answers.generation_stream import GenerationStream, Source
from youtu_edge.front.answers.pieces import Ended, Piece, Text, Thought
from youtu_edge.front.conversations.conversations import Conversations, RunningTurn
from youtu_edge.front.conversations.turn_prompt import TurnPrompt, TurnRequest
from youtu_edge.front.conversations.turns import Turn
from youtu_edge.front.http.sse import EventNumbers
from youtu_edge.front.inflight.active_requests import ActiveRequest
from youtu_edge.front.inflight.generation_request import GenerationRequest


class TurnStream(GenerationStream):
    """The answer of a turn as its client reads it."""

    def __init__(
        self,
        source: Source,
        session_id: str,
        names: Mapping[str, str] | None = None,
        numbers: EventNumbers | None = None,
        earlier: str = "",
    ) -> None:
        """`names`, `numbers`, `earlier`: see GenerationStream."""
        super().__init__(source, names, numbers, earlier)
        self.session_id = session_id
        self.stored: Turn | None = None
        """The turn as it is in the database; None before its end, and if it could not be stored."""

    @property
    def dropped_turns(self) -> int:
        """Turns at the beginning that the model did not see."""
        return self.stored.dropped_turns if self.stored else 0


class ConversationTurn(TurnStream):
    """The generation of one turn, which it stores at the end; `open_turn` and `DurableTurns` make it."""

    def __init__(
        self,
        source: Source,
        conversations: Conversations,
        running: RunningTurn,
        prompt: TurnPrompt,
        request: TurnRequest,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """`prompt` is in the request of `source` already."""
        continued = prompt.continued
        super().__init__(source, request.name.id, names, earlier=continued.cut_text if continued else "")
        self._conversations = conversations
        self._running = running
        self._prompt = prompt
        self._request = request
        self._texts = [continued.assistant] if continued else []
        self._thoughts = [continued.thinking] if continued else []
        self._began = time.monotonic()
        self._first_at: float | None = None
        self.active: ActiveRequest | None = None
        """The request while an engine works on it: it has the tokens."""
        self.asked_at = int(time.time())
        self.is_timed = True
        """False: a part of the answer comes from an earlier process, so its speed is not known."""
        self.is_over = False
        """The conversation is released, with or without this turn."""

    @property
    def dropped_turns(self) -> int:
        """Turns at the beginning that the model does not see in this turn."""
        return self._prompt.dropped_turns

    async def pieces(self) -> AsyncIterator[Piece]:
        """As in GenerationStream; the turn is in the database before `Ended` is yielded."""
        async for piece in super().pieces():
            if isinstance(piece, Text | Thought):
                self._first_at = self._first_at or time.monotonic()
                (self._texts if isinstance(piece, Text) else self._thoughts).append(piece.text)
            elif isinstance(piece, Ended):
                await self._keep(piece.reason, piece.finished.completion_tokens)
            yield piece

    async def leave(self) -> None:
        """The handler is done. If the client left before the end of a stream, what it received is stored."""
        active = self.active
        if self.is_over:
            return
        if self._request.is_streamed and active is not None and active.outcome != "failed" and any(self._texts):
            await self._keep("cancelled", active.completion_tokens)
        else:
            self.release()

    def release(self) -> None:
        """End the turn without storing it."""
        if not self.is_over:
            self.is_over = True
            self._conversations.release(self._running)

    async def _keep(self, reason: str, num_tokens: int) -> None:
        self.is_over = True
        turn = self._turn(reason, num_tokens)
        try:
            turn.number = await self._conversations.keep(
                self._running, turn, system=self._request.system, place=self._prompt.place
            )
        except StorageError:  # logged and counted by the database; the client still gets the answer
            return
        self.stored = turn

    def _turn(self, reason: str, num_tokens: int) -> Turn:
        now, continued = time.monotonic(), self._prompt.continued
        earlier = len(continued.tokens) if continued else 0
        writing = now - (self._first_at or now)
        is_timed = self.is_timed and writing > 0 and num_tokens - earlier > 1
        submit = self.active.submit if self.active else None
        return Turn(
            user=self._prompt.question,
            assistant="".join(self._texts),
            thinking="".join(self._thoughts),
            tokens=list(submit.sent_tokens) if submit else [],
            asked=continued.asked if continued else self.asked_at,
            request=self.id,
            dropped_turns=self.dropped_turns,
            finish_reason=reason,
            completion_tokens=num_tokens,
            seconds=(continued.seconds if continued else 0) + (now - self._began if self.is_timed else 0),
            tokens_per_second=(num_tokens - earlier - 1) / writing if is_timed else 0,
            cut_text=submit.sent_text if submit and reason == "length" else "",
        )


@asynccontextmanager
async def open_turn(
    conversations: Conversations,
    admission: Admission,
    submit: GenerationRequest,
    request: TurnRequest,
    names: Mapping[str, str] | None = None,
) -> AsyncIterator[ConversationTurn]:
    """Generate the next turn of a conversation, which is reserved until the end of the block.

    `submit` is complete except for the messages; `names`: see GenerationStream.
    Raises SessionBusyError, NotFoundError and InvalidRequestError naming a turn, and as `Admission.open`.
    """
    running = conversations.begin(request.name, submit.id)
    try:
        prompt = TurnPrompt(await conversations.seen_by_model(request.name, request.place), request)
        prompt.begin(submit)
        active = admission.open(submit)
        running.is_submitted = True
        if running.is_cancelled:
            admission.cancel(submit.id)
    except BaseException:
        conversations.release(running)
        raise
    turn = ConversationTurn(active, conversations, running, prompt, request, names)
    turn.active = active
    active.shorten = partial(prompt.shorten, active.submit)
    try:
        yield turn
    finally:  # also when the client left: aiohttp cancels the handler
        admission.close(active)
        await turn.leave()
