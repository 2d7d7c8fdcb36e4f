"""The prompt of a turn: the turns before it that the model still sees, then the question.

    turns so far   [ dropped ........ | seen by the model ....... ] + the new question
                     ^ grows by a quarter of what is seen (at least a turn) whenever prompt and answer do not fit

A quarter and not a single turn, because everything after a dropped turn misses the prefix cache: better once in many turns.
"""

from __future__ import annotations

import msgspec

from youtu_edge.front.conversations.conversation import AT_THE_END, Conversation, Name, Place
from youtu_edge.front.conversations.turns import Turn
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.prompt import ChatMessage
from youtu_edge.request_errors import InvalidRequestError


class TurnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The client's part of a turn. `system` None: unchanged. `reserve_tokens`: room that the answer should have."""

    name: Name
    prompt: str
    """Empty when an answer is continued."""
    system: str | None
    reserve_tokens: int
    is_streamed: bool
    """The client sees the answer as it is generated, even if it disconnects before the end."""
    place: Place = AT_THE_END


class TurnPrompt:
    """What the model sees of a conversation in one turn."""

    def __init__(self, history: Conversation, request: TurnRequest) -> None:
        """`history` up to the place of the turn. Raises InvalidRequestError when an answer cannot be continued."""
        self._seen = list(history.turns)
        self._system = history.system if request.system is None else request.system
        self._reserve_tokens = request.reserve_tokens
        self.continued: Turn | None = None
        """The turn whose answer is continued."""
        if request.place.continued is not None:
            self.continued = self._seen.pop()
            if not self.continued.is_to_be_continued:
                raise InvalidRequestError(
                    f"continue_turn: the answer of turn {self.continued.number} was not cut off by its limit",
                    param="continue_turn",
                )
        self.question = self.continued.user if self.continued else request.prompt
        self.place = request.place
        if self.continued is None:
            self.place = Place(parent=self._seen[-1].number if self._seen else 0)
        self.dropped_turns = history.dropped_turns
        """Turns at the beginning that the model does not see in this turn."""

    def begin(self, submit: GenerationRequest) -> None:
        """Put the prompt into a request that is complete otherwise, and the answer that it continues."""
        if self.continued is not None:
            submit.sent_tokens = list(self.continued.tokens)
            submit.sent_text = self.continued.cut_text
            submit.max_new_tokens += len(self.continued.tokens)
        self._fill(submit)

    def shorten(self, submit: GenerationRequest) -> bool:
        """Drop the oldest turns that the model sees; False when there are none."""
        if not self._seen:
            return False
        spare = sum(_size(turn) for turn in self._seen) / 4
        while spare > 0 and self._seen:
            spare -= _size(self._seen.pop(0))
            self.dropped_turns += 1
        self._fill(submit)
        return True

    def _fill(self, submit: GenerationRequest) -> None:
        messages = [ChatMessage("system", self._system)] if self._system else []
        for turn in self._seen:
            # Templates leave thoughts out of later prompts, so the ids of an answer with thoughts would not match.
            tokens = [] if turn.thinking else turn.tokens
            messages.append(ChatMessage("user", turn.user))
            messages.append(ChatMessage("assistant", turn.assistant, reasoning=turn.thinking, tokens=tokens))
        submit.messages = [*messages, ChatMessage("user", self.question)]
        earlier = len(self.continued.tokens) if self.continued else 0
        # With nothing left to drop, any room for the answer is better than none.
        submit.reserve_tokens = earlier + (self._reserve_tokens if self._seen else 1)


def _size(turn: Turn) -> int:
    return len(turn.user) + len(turn.assistant) + 1
