"""The types of the bodies and responses of the routes of sessions, and how turns become messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from youtu_edge.front.conversations.conversation import Summary
from youtu_edge.front.conversations.turns import Turn
from youtu_edge.request_errors import InvalidRequestError


class PageQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Query of GET /v1/sessions."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: str | None = None
    """Id of a session: only those used before it. Pass the last id of a page to get the next page."""
    search: Annotated[str, Meta(max_length=200)] = ""
    """Only sessions in which this text occurs; `excerpt` is the place."""


class SessionPage(msgspec.Struct):
    """Sessions, last used first."""

    sessions: list[Summary]


class SessionMessage(msgspec.Struct, omit_defaults=True):
    """One message of a session."""

    role: str
    content: str
    created: int
    """Unix time in seconds."""
    thinking: str = ""
    turn: int = 0
    """Number of the turn that it belongs to: a question and its answer."""
    branches: list[int] = []
    """With a question: this turn and the others that follow the same one, if there are others."""
    finish_reason: str = ""
    """With an answer, like the following."""
    completion_tokens: int = 0
    seconds: float = 0
    """From the question to the end of the answer."""
    tokens_per_second: float = 0
    is_cut: bool = False
    """Its limit cut it off, and it can be continued."""


class SessionDocument(Summary, kw_only=True):
    """A whole session. The model no longer sees the first `dropped_turns` turns."""

    system: str
    dropped_turns: int
    running_request: str | None
    """Id of the request that it is answering."""
    messages: list[SessionMessage]


class SessionChange(msgspec.Struct, forbid_unknown_fields=True):
    """Body of PATCH /v1/sessions/{session_id}; fields left out keep their value."""

    title: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    system: Annotated[str, Meta(max_length=100_000)] | UnsetType = UNSET
    turn: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    """Show the branch with this turn, up to its newest end."""


class ImportedMessage(msgspec.Struct, kw_only=True):
    """One message of a session from elsewhere; further fields are ignored."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Meta(max_length=1_000_000)]
    thinking: str = ""
    created: Annotated[int, Meta(ge=0, le=2**40)] = 0
    completion_tokens: Annotated[int, Meta(ge=0, le=2**40)] = 0
    seconds: Annotated[float, Meta(ge=0)] = 0
    tokens_per_second: Annotated[float, Meta(ge=0)] = 0


class ImportedSession(msgspec.Struct, kw_only=True):
    """Body of PUT /v1/sessions/{session_id}: a session as exported; further fields are ignored."""

    title: Annotated[str, Meta(max_length=200)] = ""
    system: Annotated[str, Meta(max_length=100_000)] = ""
    messages: Annotated[list[ImportedMessage], Meta(min_length=1, max_length=10_000)]


class InterruptBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/sessions/{session_id}/interrupt."""

    spoken_chars: Annotated[int, Meta(ge=0)]
    """Characters (Unicode code points) of the answer that were actually spoken; a larger number keeps all."""


class Interrupted(msgspec.Struct):
    """What is left of the last answer. `request_id` is the request that was stopped, null when none was in progress."""

    id: str
    request_id: str | None
    content: str


class Deleted(msgspec.Struct):
    """The session is gone."""

    id: str
    deleted: bool = True


class Cancelled(msgspec.Struct):
    """The request ends with finish_reason "cancelled"."""

    id: str
    cancelled: bool = True


def messages_of(turns: Sequence[Turn]) -> list[SessionMessage]:
    """Question and answer of each turn."""
    messages: list[SessionMessage] = []
    for turn in turns:
        branches = turn.branches if len(turn.branches) > 1 else []
        messages.append(SessionMessage("user", turn.user, turn.asked, turn=turn.number, branches=branches))
        messages.append(
            SessionMessage(
                "assistant",
                turn.assistant,
                turn.answered,
                turn.thinking,
                turn=turn.number,
                finish_reason=turn.finish_reason,
                completion_tokens=turn.completion_tokens,
                seconds=round(turn.seconds, 3),
                tokens_per_second=round(turn.tokens_per_second, 3),
                is_cut=turn.is_to_be_continued,
            )
        )
    return messages


def turns_of(messages: Sequence[ImportedMessage]) -> list[Turn]:
    """The turns that these messages make. Raises InvalidRequestError unless questions and answers alternate."""
    turns = []
    for index, message in enumerate(messages):
        if message.role != ("user", "assistant")[index % 2]:
            raise InvalidRequestError(
                f"messages[{index}].role: questions (user) and answers (assistant) must alternate",
                param=f"messages[{index}].role",
            )
        if message.role == "user":
            turns.append(Turn(user=message.content, assistant="", asked=message.created))
            continue
        turn = turns[-1]
        turn.assistant, turn.thinking, turn.answered = message.content, message.thinking, message.created
        turn.completion_tokens, turn.seconds = message.completion_tokens, message.seconds
        turn.tokens_per_second = message.tokens_per_second
    return turns
