"""The bodies of Anthropic's Messages, and what they ask of the engine."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.admission.sampling import SamplingFields
from youtu_edge.front.dialects.anthropic.blocks import CacheControl, MessageParam, TextBlock, chat_messages
from youtu_edge.front.dialects.common.fields import StopText, Tokens
from youtu_edge.front.dialects.common.messages import MAX_MESSAGES
from youtu_edge.front.dialects.common.tools import (
    FunctionDefinition,
    FunctionName,
    NamedTool,
    Tool,
    ToolChoice,
    ToolName,
    definitions,
    offer_tools,
)
from youtu_edge.front.http.field_table import FieldTable, Hint, Refused
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.to_engine import Grammar, JsonSchema, Render
from youtu_edge.request_errors import InvalidRequestError

FIELDS = FieldTable(
    {
        "container": Refused(),
        "context_management": Hint({}),
        "inference_geo": Hint(),
        "mcp_servers": Refused([]),
        "output_config.effort": Hint("high"),
        "service_tier": Hint("auto", "standard_only"),
        "speed": Hint("standard"),
        "thinking.budget_tokens": Hint(),
        "thinking.display": Hint(),
        "tools[].defer_loading": Refused(False),
        "tools[].eager_input_streaming": Hint(True),
    }
)
"""Anthropic's parameters that are not computed here."""

NAMES = {"chat_template_kwargs.enable_thinking": "thinking.type"}
"""This dialect's names of fields that an error of the engine may name."""


class ClientTool(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A tool of the client. Its input always satisfies the schema, whatever `strict` says."""

    name: ToolName
    input_schema: dict[str, Any]
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    defer_loading: bool | None = None
    eager_input_streaming: bool | None = None
    """Makes no difference: input is always streamed as it is generated."""

    def as_tool(self) -> Tool:
        """The tool in the form of the chat dialect."""
        return Tool("function", FunctionDefinition(self.name, self.description, self.input_schema, self.strict))


class AutoChoice(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="auto"):
    """The model decides."""

    disable_parallel_tool_use: bool | None = None


class AnyChoice(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="any"):
    """Some tool must be called."""

    disable_parallel_tool_use: bool | None = None


class OneChoice(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="tool", kw_only=True):
    """This tool must be called."""

    name: str
    disable_parallel_tool_use: bool | None = None


class NoChoice(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="none"):
    """No tool may be called."""


Display = Literal["summarized"]
"""How thinking is answered. It always comes in full; to leave it out is not supported."""


class ThinkingEnabled(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="enabled", kw_only=True):
    """The model thinks first. No budget is enforced; `max_tokens` limits thoughts and answer together."""

    budget_tokens: Tokens | None = None
    display: Display | None = None


class ThinkingAdaptive(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="adaptive"):
    """The model decides whether it thinks."""

    display: Display | None = None


class ThinkingDisabled(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="disabled"):
    """The model does not think."""


class SchemaOutput(msgspec.Struct, forbid_unknown_fields=True):
    """The answer is JSON that satisfies a schema."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The form of the answer. `effort` is ignored: models have no degrees of it."""

    format: SchemaOutput | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    """The user, for the log."""

    user_id: Annotated[str, Meta(max_length=256)] | None = None


class CountBody(SamplingFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/messages/count_tokens. Fields that concern only the answer are accepted and change no count."""

    messages: Annotated[list[MessageParam], Meta(min_length=1, max_length=MAX_MESSAGES)]
    model: str | None = None
    system: str | list[TextBlock] | None = None
    tools: Annotated[list[ClientTool], Meta(max_length=128)] | None = None
    tool_choice: AutoChoice | AnyChoice | OneChoice | NoChoice | None = None
    thinking: ThinkingEnabled | ThinkingAdaptive | ThinkingDisabled | None = None
    output_config: OutputConfig | None = None
    cache_control: CacheControl | None = None

    @property
    def choice(self) -> ToolChoice | None:
        """The choice of tools in the form of the chat dialect."""
        if isinstance(self.tool_choice, OneChoice):
            return NamedTool("function", FunctionName(self.tool_choice.name))
        if isinstance(self.tool_choice, AnyChoice):
            return "required"
        return "none" if isinstance(self.tool_choice, NoChoice) else None

    @property
    def parallel_tool_calls(self) -> bool:
        """Whether one answer may call several tools."""
        return not getattr(self.tool_choice, "disable_parallel_tool_use", None)

    @property
    def template_kwargs(self) -> dict[str, Any]:
        """The chat template's argument that controls thinking."""
        if self.thinking is None or isinstance(self.thinking, ThinkingAdaptive):
            return {}
        return {"enable_thinking": isinstance(self.thinking, ThinkingEnabled)}

    @property
    def grammar(self) -> Grammar | None:
        """What the answer has to satisfy."""
        if self.output_config is None or self.output_config.format is None:
            return None
        return JsonSchema("output_config.format.schema", self.output_config.format.schema)


class MessagesBody(CountBody, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/messages."""

    max_tokens: Tokens
    """Required, so that clients that know nothing of the model write a large number: the context limits the answer too."""
    stop_sequences: Annotated[list[StopText], Meta(max_length=32)] | None = None
    stream: bool | None = None
    metadata: Metadata | None = None


def generation_request(intake: Intake, body: MessagesBody) -> GenerationRequest:
    """The request for the answer. Raises InvalidRequestError and ModelNotFoundError naming the field."""
    _check(body)
    intake.check_name(body.model)
    limit = intake.max_new_tokens("max_tokens", min(body.max_tokens, intake.model.context_length))
    submit = intake.submit("msg_", body, limit, body.stop_sequences)
    submit.messages = chat_messages(body.system, body.messages)
    submit.template_kwargs = body.template_kwargs
    submit.grammar = body.grammar
    offer_tools(submit, [tool.as_tool() for tool in body.tools or ()], body.choice, body.parallel_tool_calls)
    return submit


def count_query(intake: Intake, body: CountBody) -> Render:
    """The query for the prompt. Raises InvalidRequestError and ModelNotFoundError naming the field."""
    _check(body)
    intake.check_name(body.model)
    tools = [] if body.choice == "none" else [tool.as_tool() for tool in body.tools or ()]
    return Render(chat_messages(body.system, body.messages), body.template_kwargs, definitions(tools))


def _check(body: CountBody) -> None:
    """What types cannot express. Raises InvalidRequestError naming the field."""
    names = [tool.name for tool in body.tools or ()]
    for index, name in enumerate(names):
        if name in names[:index]:
            where = f"tools[{index}].name"
            raise InvalidRequestError(f"{where}: {name!r} is defined twice", param=where)
    if isinstance(body.tool_choice, OneChoice) and body.tool_choice.name not in names:
        raise InvalidRequestError("tool_choice.name: no tool has this name", param="tool_choice.name")
    if isinstance(body.tool_choice, AnyChoice) and not names:
        raise InvalidRequestError("tool_choice: there are no tools to call", param="tool_choice")
    if body.messages[0].role == "system":
        where = "messages[0].role"
        raise InvalidRequestError(f"{where}: the first turn must not be the system's; use the field system", param=where)
    if body.messages[-1].role == "assistant":
        where = f"messages[{len(body.messages) - 1}].role"
        raise InvalidRequestError(
            f"{where}: the last turn must be the user's; prefilling an answer is not supported", param=where
        )
