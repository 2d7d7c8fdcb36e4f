"""The body of OpenAI's Responses, and the request for the engine that follows from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.admission.sampling import SamplingFields
from youtu_edge.front.dialects.common.fields import JsonObjectFormat, TextFormat, Tokens
from youtu_edge.front.dialects.common.messages import MAX_MESSAGES
from youtu_edge.front.dialects.common.tools import ToolName, offer_tools
from youtu_edge.front.dialects.responses.items import Item
from youtu_edge.front.dialects.responses.tools import FunctionChoice, ResponseTool, offered
from youtu_edge.front.http.field_table import FieldTable, Hint, Refused
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.to_engine import Grammar, JsonObject, JsonSchema
from youtu_edge.request_errors import InvalidRequestError

FIELDS = FieldTable(
    {
        "client_metadata": Hint({}),
        "context_management": Hint([]),
        "conversation": Refused(),
        "include[]": Hint("message.output_text.logprobs"),
        "max_tool_calls": Hint(),
        "moderation": Refused(),
        "prompt": Refused(),
        "prompt_cache_key": Hint(),
        "prompt_cache_options": Hint(),
        "prompt_cache_retention": Hint(),
        "reasoning.summary": Hint(),
        "safety_identifier": Hint(),
        "service_tier": Hint("auto", "default"),
        "stream_options.include_obfuscation": Hint(False),
        "text.verbosity": Hint("medium"),
        "truncation": Refused("disabled"),
    }
)
"""OpenAI's parameters that are not computed here. `max_tool_calls` counts only calls of OpenAI's own tools."""

NAMES = {"messages": "input", "chat_template_kwargs.enable_thinking": "reasoning.effort"}
"""This dialect's names of fields that an error of the engine may name."""

Included = Literal[
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "web_search_call.action.sources",
    "web_search_call.results",
]
"""What a response may contain in addition. Only the first exists: thinking is not encrypted, OpenAI's tools are absent."""


class SchemaFormat(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="json_schema", kw_only=True):
    """The answer satisfies a JSON schema, whatever `strict` says."""

    schema: dict[str, Any]
    name: ToolName | None = None
    description: str | None = None
    strict: bool | None = None


class TextOptions(msgspec.Struct, forbid_unknown_fields=True):
    """The form of the answer. `verbosity` is ignored: models have no degrees of it."""

    format: TextFormat | JsonObjectFormat | SchemaFormat = msgspec.field(default_factory=TextFormat)
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(msgspec.Struct, forbid_unknown_fields=True):
    """`none` switches thinking off, anything else on: models have no degrees of it. Thinking is never summarised."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class ResponseStreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Events are never obfuscated."""

    include_obfuscation: bool | None = None


class ResponsesBody(SamplingFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/responses."""

    input: str | Annotated[list[Item], Meta(min_length=1, max_length=MAX_MESSAGES)]
    model: str | None = None
    instructions: str | None = None
    previous_response_id: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    store: bool | None = None
    background: bool | None = None
    """Generate without a connected client and across restarts; the response is read with GET."""
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    max_output_tokens: Tokens | None = None
    tools: Annotated[list[ResponseTool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: Annotated[list[Included], Meta(max_length=16)] | None = None
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | None = None
    user: Annotated[str, Meta(max_length=256)] | None = None


def generation_request(intake: Intake, body: ResponsesBody) -> GenerationRequest:
    """The request for the response, without its messages. Raises InvalidRequestError and ModelNotFoundError."""
    _check(body)
    intake.check_name(body.model)
    submit = intake.submit("resp_", body, intake.max_new_tokens("max_output_tokens", body.max_output_tokens))
    choice = body.tool_choice.as_choice() if isinstance(body.tool_choice, FunctionChoice) else body.tool_choice
    offer_tools(submit, [tool.as_tool() for tool in offered(body.tools)], choice, body.parallel_tool_calls)
    submit.grammar = _grammar(body.text.format) if body.text else None
    if body.reasoning and body.reasoning.effort:
        submit.template_kwargs = {"enable_thinking": body.reasoning.effort != "none"}
    if "message.output_text.logprobs" in (body.include or ()) or body.top_logprobs is not None:
        submit.sampling = msgspec.structs.replace(submit.sampling, logprobs=body.top_logprobs or 0)
    return submit


def _check(body: ResponsesBody) -> None:
    """What types cannot express. Raises InvalidRequestError naming the field."""
    tools = offered(body.tools)
    names = [tool.name for tool in tools]
    for index, tool in enumerate(tools):
        if tool.name in names[:index]:
            where = f"{tool.where}.name"
            raise InvalidRequestError(f"{where}: {tool.name!r} is defined twice", param=where)
    if isinstance(body.tool_choice, FunctionChoice) and body.tool_choice.name not in names:
        raise InvalidRequestError("tool_choice.name: no tool has this name", param="tool_choice.name")
    if body.tool_choice == "required" and not names:
        raise InvalidRequestError("tool_choice: there are no tools to call", param="tool_choice")
    if body.background and body.store is False:
        raise InvalidRequestError("store: must not be false with background: true", param="store")
    if body.stream_options is not None and not body.stream:
        raise InvalidRequestError("stream_options: only allowed with stream: true", param="stream_options")


def _grammar(given: TextFormat | JsonObjectFormat | SchemaFormat) -> Grammar | None:
    if isinstance(given, SchemaFormat):
        return JsonSchema("text.format.schema", given.schema)
    return JsonObject("text.format") if isinstance(given, JsonObjectFormat) else None
