"""The body of OpenAI's chat completions, and the request for the engine that follows from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.dialects.common.fields import GenerationFields, Tokens, check_fields, fill_fields
from youtu_edge.front.dialects.common.messages import MAX_MESSAGES, Message, chat_messages, check_messages
from youtu_edge.front.dialects.common.tools import Tool, ToolChoice, check_tools, offer_tools
from youtu_edge.front.http.field_table import FieldTable, Hint, Refused
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.request_errors import InvalidRequestError

FIELDS = FieldTable(
    {
        "audio": Refused(),
        "function_call": Refused("none", "auto"),
        "functions": Refused([]),
        "metadata": Hint({}),
        "modalities": Refused(["text"]),
        "prediction": Hint(),
        "prompt_cache_key": Hint(),
        "prompt_cache_options": Hint(),
        "prompt_cache_retention": Hint(),
        "safety_identifier": Hint(),
        "service_tier": Hint("auto", "default"),
        "store": Hint(False),
        "stream_options.include_obfuscation": Hint(False),
        "verbosity": Hint("medium"),
        "web_search_options": Refused(),
    }
)
"""OpenAI's parameters that are not computed here. A predicted answer would only make the real one come sooner."""

_THINKING = "enable_thinking"
"""Its name in chat templates."""


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
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    """`none` switches thinking off, anything else on: models have no degrees of it."""

    @property
    def limit(self) -> tuple[str, int | None]:
        """The name and the value of the field that limits the answer."""
        if self.max_tokens is None:
            return "max_completion_tokens", self.max_completion_tokens
        return "max_tokens", self.max_tokens

    @property
    def template_kwargs(self) -> dict[str, Any]:
        """The variables of the chat template."""
        kwargs = self.chat_template_kwargs or {}
        return kwargs if self.reasoning_effort is None else {**kwargs, _THINKING: self.reasoning_effort != "none"}

    @property
    def names(self) -> dict[str, str]:
        """This request's names of fields that an error of the engine may name."""
        return {} if self.reasoning_effort is None else {f"chat_template_kwargs.{_THINKING}": "reasoning_effort"}


def generation_request(intake: Intake, body: ChatBody) -> GenerationRequest:
    """The request for one answer. Raises InvalidRequestError and ModelNotFoundError naming the field."""
    _check(body)
    intake.check_name(body.model)
    submit = intake.submit("chatcmpl-", body, intake.max_new_tokens(*body.limit), body.stop)
    fill_fields(submit, body, (body.top_logprobs or 0) if body.logprobs else None)
    submit.messages = chat_messages(body.messages)
    submit.template_kwargs = body.template_kwargs
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
    if body.reasoning_effort is not None and _THINKING in (body.chat_template_kwargs or {}):
        raise InvalidRequestError(
            f"reasoning_effort: cannot be combined with chat_template_kwargs.{_THINKING}", param="reasoning_effort"
        )
    check_fields(body)
    check_tools(body.tools, body.tool_choice)
