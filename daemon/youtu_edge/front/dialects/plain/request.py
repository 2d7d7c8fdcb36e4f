"""The body of the plain dialect, and the request for the engine that follows from it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.admission.sampling import SamplingFields
from youtu_edge.front.conversations.conversation import ID_PATTERN
from youtu_edge.front.dialects.common.fields import Stop, Tokens
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.prompt import ChatMessage
from youtu_edge.request_errors import InvalidRequestError

SessionId = Annotated[str, Meta(pattern=ID_PATTERN)]

_THINKING = "enable_thinking"
"""Its name in chat templates."""

NAMES = {"messages": "prompt", f"chat_template_kwargs.{_THINKING}": "thinking"}
"""This dialect's names of fields that an error of the engine may name."""


class PlainBody(SamplingFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /chat and POST /chat_stream."""

    prompt: Annotated[str, Meta(min_length=1)] | None = None
    """Required, unless `continue_turn` is given."""
    system: str | None = None
    max_new_tokens: Tokens | None = None
    stop: Stop | None = None
    session_id: SessionId | None = None
    """The conversation that this is a turn of; it begins with its first turn."""
    parent_turn: Annotated[int, Meta(ge=0)] | None = None
    """With `session_id`: the turn that this one follows, 0: none. By default the one that the session shows last."""
    continue_turn: Annotated[int, Meta(ge=1)] | None = None
    """With `session_id`, instead of `prompt`: continue the answer of this turn, which its limit cut off."""
    thinking: bool | None = None
    """Whether the model may think before it answers; null: as in its chat template."""


def generation_request(intake: Intake, body: PlainBody) -> GenerationRequest:
    """The request for the answer; a turn of a session gets its messages later. Raises InvalidRequestError."""
    _check(body)
    limit = intake.max_new_tokens("max_new_tokens", body.max_new_tokens)
    submit = intake.submit("chat-", body, limit, body.stop)
    if body.thinking is not None:
        submit.template_kwargs = {_THINKING: body.thinking}
    if body.session_id is None:
        system = [ChatMessage("system", body.system)] if body.system else []
        submit.messages = [*system, ChatMessage("user", body.prompt or "")]
    return submit


def _check(body: PlainBody) -> None:
    """What types cannot express. Raises InvalidRequestError naming the field."""
    if body.session_id is None:
        for field in ("parent_turn", "continue_turn"):
            if getattr(body, field) is not None:
                raise InvalidRequestError(f"{field}: only allowed with session_id", param=field)
    if body.continue_turn is None:
        if body.prompt is None:
            raise InvalidRequestError("prompt: required", param="prompt")
        return
    for field in ("prompt", "parent_turn"):
        if getattr(body, field) is not None:
            raise InvalidRequestError(f"{field}: cannot be combined with continue_turn", param=field)
