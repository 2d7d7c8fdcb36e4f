"""One turn of a conversation: the prompt is what was said so far, the answer is kept before its end is told.

    turns so far   [ dropped ........ | seen by the model ....... ] + the new question
                     ^ grows by a quarter of what is seen (at least a turn) whenever prompt and answer do not fit

A quarter and not a single turn, because the prefix cache starts anew at whatever is dropped: better once in many turns.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from youtu_edge.errors import StorageError
from youtu_edge.front.admission import Admission
from youtu_edge.front.conversation_store import Conversation, Turn
from youtu_edge.front.conversations import Conversations, RunningTurn
from youtu_edge.front.generation_stream import GenerationStream
from youtu_edge.front.pieces import Ended, Piece, Text, Thought
from youtu_edge.front.sessions import Session
from youtu_edge.protocol import ChatMessage, Submit


class ConversationTurn(GenerationStream):
    """The generation of one turn; `open_turn` makes it."""

    def __init__(self, session: Session, turns: Conversations, running: RunningTurn, known: Conversation, prompt: str) -> None:
        super().__init__(session)
        self._turns = turns
        self._running = running
        self._known = known
        self._prompt = prompt
        self._asked = int(time.time())
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self.dropped_turns = known.dropped_turns
        """Turns at the beginning that the model does not see in this turn."""
        self.is_stored: bool | None = None
        """Whether the turn was kept; None before its end."""
        session.shorten = self._shorten
        self._set_prompt(known.turns)

    @property
    def session_id(self) -> str:
        """Id of the conversation."""
        return self._running.name.id

    async def pieces(self) -> AsyncIterator[Piece]:
        """As any generation's; the turn is in the database before `Ended` is given out."""
        async for piece in super().pieces():
            if isinstance(piece, Text):
                self._texts.append(piece.text)
            elif isinstance(piece, Thought):
                self._thoughts.append(piece.text)
            elif isinstance(piece, Ended):
                await self._keep()
            yield piece

    async def leave(self) -> None:
        """The client is done. If it went before the end, what it received of the answer is kept."""
        if self.is_stored is None and self.session.outcome != "failed" and "".join(self._texts):
            await self._keep()
        self._turns.release(self._running)

    async def _keep(self) -> None:
        self.is_stored = False
        thinking = "".join(self._thoughts)
        turn = Turn(
            user=self._prompt,
            assistant="".join(self._texts),
            thinking=thinking,
            # Templates leave thoughts out of later prompts, so the ids of an answer with thoughts would not come again.
            tokens=[] if thinking else self.session.submit.sent_tokens,
            asked=self._asked,
        )
        try:
            await self._turns.keep(self._running, turn, system=self._known.system, dropped_turns=self.dropped_turns)
        except StorageError:  # logged and counted by the database; the answer is worth more than its copy
            return
        self.is_stored = True

    def _shorten(self) -> bool:
        """Drop the oldest turns that the model sees; False when there are none."""
        seen = self._known.turns[self.dropped_turns - self._known.dropped_turns :]
        if not seen:
            return False
        spare = sum(_size(turn) for turn in seen) / 4
        while spare > 0 and seen:
            spare -= _size(seen.pop(0))
            self.dropped_turns += 1
        self._set_prompt(seen)
        return True

    def _set_prompt(self, turns: list[Turn]) -> None:
        submit = self.session.submit
        messages = [ChatMessage("system", self._known.system)] if self._known.system else []
        for turn in turns:
            messages.append(ChatMessage("user", turn.user))
            messages.append(ChatMessage("assistant", turn.assistant, tokens=turn.tokens, reasoning=turn.thinking))
        messages.append(ChatMessage("user", self._prompt))
        submit.messages = messages
        # With nothing left to drop, any room for the answer is better than none.
        submit.min_new_tokens = submit.max_new_tokens if turns else 1


def _size(turn: Turn) -> int:
    return len(turn.user) + len(turn.assistant) + 1
