"""The body of OpenAI's chat completions, and the request for the engine that follows from it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.dialects.common.fields import GenerationFields, Tokens, check_fields, fill_fields
from youtu_edge.front.dialects.common.messages import MAX_MESSAGES, Message, chat_messages, check_messages
from youtu_edge.front.dialects.common.tools import Tool, ToolChoice, check_tools, offer_tools
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.request_errors import InvalidRequestError

UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "metadata": ({},),
    "modalities": (["text"],),
    "prediction": (),
    "prompt_cache_key": (),
    "reasoning_effort": (),
    "safety_identifier": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "verbosity": (),
    "web_search_options": (),
}
"""OpenAI's parameters that are rejected by name, with the values that are harmless and therefore accepted."""


class ChatBody(GenerationFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/chat/completions."""

    messages: Annotated[list[Message], Meta(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Tokens | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    @property
    def limit(self) -> tuple[str, int | None]:
        """The name and the value of the field that limits the answer."""
        if self.max_tokens is None:
            return "max_completion_tokens", self.max_completion_tokens
        return "max_tokens", self.max_tokens


def generation_request(intake: Intake, body: ChatBody) -> GenerationRequest:
    """The request for one answer. Raises InvalidRequestError and ModelNotFoundError naming the field."""
    _check(body)
    intake.check_name(body.model)
    submit = intake.submit("chatcmpl-", body, intake.max_new_tokens(*body.limit), body.stop)
    fill_fields(submit, body, (body.top_logprobs or 0) if body.logprobs else None)
    submit.messages = chat_messages(body.messages)
    submit.template_kwargs = body.chat_template_kwargs or {}
    offer_tools(submit, body.tools, body.tool_choice, body.parallel_tool_calls)
    return submit


def _check(body: ChatBody) -> None:
    """What types cannot express. Raises InvalidRequestError naming the field."""
    check_messages(body.messages)
    both = body.max_tokens, body.max_completion_tokens
    if None not in both and both[0] != both[1]:
        raise InvalidRequestError("max_tokens and max_completion_tokens differ; give one of them", param="max_tokens")
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequestError("top_logprobs: only allowed with logprobs: true", param="top_logprobs")
    check_fields(body)
    check_tools(body.tools, body.tool_choice)
