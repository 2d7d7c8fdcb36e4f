"""One turn of a conversation: the prompt is the history, and the answer is stored before the client sees its end.

    turns so far   [ dropped ........ | seen by the model ....... ] + the new question
                     ^ grows by a quarter of what is seen (at least a turn) whenever prompt and answer do not fit

A quarter and not a single turn, because everything after a dropped turn misses the prefix cache: better once in many turns.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec

from youtu_edge.errors import StorageError
from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.answers.generation_stream import GenerationStream
from youtu_edge.front.answers.pieces import Ended, Piece, Text, Thought
from youtu_edge.front.conversations.conversations import Conversations, RunningTurn
from youtu_edge.front.conversations.store import Conversation, Name, Turn
from youtu_edge.front.inflight.active_requests import ActiveRequest
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.prompt import ChatMessage


class TurnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The client's part of a turn. `system` None: unchanged. `reserve_tokens`: room that the answer should have."""

    name: Name
    prompt: str
    system: str | None
    reserve_tokens: int
    is_streamed: bool
    """The client sees the answer as it is generated, even if it disconnects before the end."""


class ConversationTurn(GenerationStream):
    """The generation of one turn; `open_turn` makes it."""

    def __init__(
        self,
        active: ActiveRequest,
        conversations: Conversations,
        running: RunningTurn,
        history: Conversation,
        request: TurnRequest,
        names: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(active, names)
        self._live = active
        self._conversations = conversations
        self._running = running
        self._history = history
        self._request = request
        self._asked_at = int(time.time())
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self.session_id = request.name.id
        self.dropped_turns = history.dropped_turns
        """Turns at the beginning that the model does not see in this turn."""
        self.is_stored: bool | None = None
        """Whether the turn is in the database; None before its end."""
        active.shorten = self._shorten

    async def pieces(self) -> AsyncIterator[Piece]:
        """As in GenerationStream; the turn is in the database before `Ended` is yielded."""
        async for piece in super().pieces():
            if isinstance(piece, Text):
                self._texts.append(piece.text)
            elif isinstance(piece, Thought):
                self._thoughts.append(piece.text)
            elif isinstance(piece, Ended):
                await self._keep()
            yield piece

    async def leave(self) -> None:
        """The handler is done. If the client left before the end of a stream, what it received is stored."""
        if self.is_stored is not None:
            return
        if self._request.is_streamed and self._live.outcome != "failed" and any(self._texts):
            await self._keep()
        else:
            self._conversations.release(self._running)

    async def _keep(self) -> None:
        self.is_stored = False
        thinking = "".join(self._thoughts)
        turn = Turn(
            user=self._request.prompt,
            assistant="".join(self._texts),
            thinking=thinking,
            # Templates leave thoughts out of later prompts, so the ids of an answer with thoughts would not match.
            tokens=[] if thinking else list(self.source.submit.sent_tokens),
            asked=self._asked_at,
        )
        try:
            await self._conversations.keep(
                self._running, turn, system=self._request.system, dropped_turns=self.dropped_turns
            )
        except StorageError:  # logged and counted by the database; the client still gets the answer
            return
        self.is_stored = True

    def _shorten(self) -> bool:
        """Drop the oldest turns that the model sees; False when there are none."""
        seen = self._history.turns[self.dropped_turns - self._history.dropped_turns :]
        if not seen:
            return False
        spare = sum(_size(turn) for turn in seen) / 4
        while spare > 0 and seen:
            spare -= _size(seen.pop(0))
            self.dropped_turns += 1
        _fill(self.source.submit, self._history.system, seen, self._request)
        return True


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
    Raises SessionBusyError, and as `Admission.open`.
    """
    running = conversations.begin(request.name, submit.id)
    try:
        history = await conversations.seen_by_model(request.name)
        if request.system is not None:
            history.system = request.system
        _fill(submit, history.system, history.turns, request)
        active = admission.open(submit)
        running.is_submitted = True
        if running.is_cancelled:
            admission.cancel(submit.id)
    except BaseException:
        conversations.release(running)
        raise
    turn = ConversationTurn(active, conversations, running, history, request, names)
    try:
        yield turn
    finally:  # also when the client left: aiohttp cancels the handler
        admission.close(active)
        await turn.leave()


def _fill(submit: GenerationRequest, system: str, turns: list[Turn], request: TurnRequest) -> None:
    messages = [ChatMessage("system", system)] if system else []
    for turn in turns:
        messages.append(ChatMessage("user", turn.user))
        messages.append(ChatMessage("assistant", turn.assistant, reasoning=turn.thinking, tokens=turn.tokens))
    submit.messages = [*messages, ChatMessage("user", request.prompt)]
    # With nothing left to drop, any room for the answer is better than none.
    submit.reserve_tokens = request.reserve_tokens if turns else 1


def _size(turn: Turn) -> int:
    return len(turn.user) + len(turn.assistant) + 1
