"""OpenAI's Responses dialect: the body that is accepted, and what it asks of the engine."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from youtu_edge.front.admission.sampling import SamplingFields
from youtu_edge.front.dialects.common.fields import JsonObjectFormat, TextFormat, Tokens
from youtu_edge.front.dialects.common.tools import FunctionDefinition, FunctionName, NamedTool, Tool, ToolName, offer_tools
from youtu_edge.front.dialects.responses.items import Item
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.to_engine import Grammar, JsonObject, JsonSchema
from youtu_edge.request_errors import InvalidRequestError

NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    "context_management": ([],),
    "conversation": (),
    "max_tool_calls": (),
    "moderation": (),
    "prompt": (),
    "prompt_cache_key": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "safety_identifier": (),
    "service_tier": ("auto", "default"),
    "truncation": ("disabled",),
}
"""OpenAI's parameters that this server does not offer, with the values that ask for nothing."""

NAMES = {"messages": "input", "chat_template_kwargs.enable_thinking": "reasoning.effort"}
"""What this dialect calls the fields that the engine may refuse."""


class FunctionTool(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A tool of the client. Arguments always satisfy `parameters`, whatever `strict` says."""

    type: Literal["function"] = "function"
    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def as_tool(self) -> Tool:
        """The tool as the chat dialect has it."""
        return Tool("function", FunctionDefinition(self.name, self.description, self.parameters, self.strict))


class FunctionChoice(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """This function must be called."""

    type: Literal["function"] = "function"
    name: str

    def as_choice(self) -> NamedTool:
        """The choice as the chat dialect has it."""
        return NamedTool("function", FunctionName(self.name))


class SchemaFormat(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="json_schema", kw_only=True):
    """The answer satisfies a JSON schema, whatever `strict` says."""

    schema: dict[str, Any]
    name: ToolName | None = None
    description: str | None = None
    strict: bool | None = None


class TextOptions(msgspec.Struct, forbid_unknown_fields=True):
    """The form of the answer."""

    format: TextFormat | JsonObjectFormat | SchemaFormat = msgspec.field(default_factory=TextFormat)


class ReasoningOptions(msgspec.Struct, forbid_unknown_fields=True):
    """`none` switches thinking off, anything else on; models have no degrees of it. Summaries are not offered."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    summary: None = None


class ResponseStreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Obfuscation is not offered."""

    include_obfuscation: Literal[False] | None = None


class ResponsesBody(SamplingFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/responses."""

    input: str | Annotated[list[Item], Meta(min_length=1)]
    model: str | None = None
    instructions: str | None = None
    previous_response_id: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    store: bool | None = None
    background: bool | None = None
    """Made whether anybody listens or not, and finished whatever dies; read with GET."""
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    max_output_tokens: Tokens | None = None
    tools: Annotated[list[FunctionTool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: list[Literal["message.output_text.logprobs"]] | None = None
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | None = None
    user: Annotated[str, Meta(max_length=256)] | None = None


def check(body: ResponsesBody) -> None:
    """What types cannot say. Raises InvalidRequestError naming the field."""
    names = [tool.name for tool in body.tools or ()]
    for index, name in enumerate(names):
        if name in names[:index]:
            where = f"tools[{index}].name"
            raise InvalidRequestError(f"{where}: {name!r} is the name of an earlier tool", param=where)
    if isinstance(body.tool_choice, FunctionChoice) and body.tool_choice.name not in names:
        raise InvalidRequestError("tool_choice.name: no tool has this name", param="tool_choice.name")
    if body.tool_choice == "required" and not names:
        raise InvalidRequestError("tool_choice: there are no tools to call", param="tool_choice")
    if body.background and body.store is False:
        raise InvalidRequestError("store: what is made in the background must be stored", param="store")
    if body.stream_options is not None and not body.stream:
        raise InvalidRequestError("stream_options: only allowed with stream: true", param="stream_options")


def fill(submit: GenerationRequest, body: ResponsesBody) -> None:
    """Put what the body asks of the engine into the request, all but the conversation."""
    choice = body.tool_choice.as_choice() if isinstance(body.tool_choice, FunctionChoice) else body.tool_choice
    offer_tools(submit, [tool.as_tool() for tool in body.tools or ()], choice, body.parallel_tool_calls)
    submit.grammar = _grammar(body.text.format) if body.text else None
    if body.reasoning and body.reasoning.effort:
        submit.template_kwargs = {"enable_thinking": body.reasoning.effort != "none"}
    if body.include or body.top_logprobs is not None:
        submit.sampling = msgspec.structs.replace(submit.sampling, logprobs=body.top_logprobs or 0)


def _grammar(asked: TextFormat | JsonObjectFormat | SchemaFormat) -> Grammar | None:
    if isinstance(asked, SchemaFormat):
        return JsonSchema("text.format.schema", asked.schema)
    return JsonObject("text.format") if isinstance(asked, JsonObjectFormat) else None
