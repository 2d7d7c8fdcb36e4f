"""Anthropic's Messages dialect: the body that is accepted, and what it asks of the engine."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from youtu_edge.front.admission.sampling import SamplingFields
from youtu_edge.front.dialects.common.fields import StopText, Tokens
from youtu_edge.front.dialects.common.tools import FunctionDefinition, FunctionName, NamedTool, Tool, ToolChoice, ToolName
from youtu_edge.protocol.prompt import ChatMessage, ToolCall
from youtu_edge.protocol.to_engine import Grammar, JsonSchema
from youtu_edge.request_errors import InvalidRequestError

NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    "container": (),
    "context_management": (),
    "inference_geo": (),
    "mcp_servers": ([],),
    "service_tier": ("auto", "standard_only"),
    "speed": ("standard",),
}
"""Anthropic's parameters that this server does not offer, with the values that ask for nothing."""

NAMES = {"chat_template_kwargs.enable_thinking": "thinking.type"}
"""What this dialect calls the fields that the engine may refuse."""

Id = Annotated[str, Meta(min_length=1, max_length=256)]


class CacheControl(msgspec.Struct, forbid_unknown_fields=True):
    """Where a prefix worth caching ends. Every prefix is cached here, so that nothing has to be done about it."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class TextBlock(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """Text of either side. `citations` and `parsed_output` are left from an answer and mean nothing here."""

    text: str
    cache_control: CacheControl | None = None
    citations: list[dict[str, Any]] | None = None
    parsed_output: Any = None


class ThinkingBlock(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="thinking"):
    """What the model thought in an earlier turn; most templates leave it out. Signatures are neither made nor checked."""

    thinking: str
    signature: str = ""


class ToolUseBlock(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="tool_use", kw_only=True):
    """The model calls a tool of the client. Who it was that called means nothing here."""

    id: Id
    name: ToolName
    input: dict[str, Any]
    cache_control: CacheControl | None = None
    caller: dict[str, Any] | None = None


class ToolResultBlock(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="tool_result", kw_only=True):
    """What the tool answered; an error is shown to the model as text that begins with "Error: "."""

    tool_use_id: Id
    content: str | list[TextBlock] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class MessageParam(msgspec.Struct, forbid_unknown_fields=True):
    """One turn of the conversation. A message that was answered may be sent back whole; only role and content count."""

    role: Literal["user", "assistant"]
    content: str | list[TextBlock | ThinkingBlock | ToolUseBlock | ToolResultBlock]
    id: str | None = None
    type: Literal["message"] | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: dict[str, Any] | None = None


class ClientTool(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A tool of the client. Its input always satisfies the schema, whatever `strict` says."""

    name: ToolName
    input_schema: dict[str, Any]
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None

    def as_tool(self) -> Tool:
        """The tool as the chat dialect has it."""
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


class ThinkingEnabled(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="enabled", kw_only=True):
    """The model thinks first. Nothing holds it to the budget; `max_tokens` limits thoughts and answer together."""

    budget_tokens: Tokens
    display: None = None


class ThinkingAdaptive(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="adaptive"):
    """The model decides whether it thinks."""

    display: None = None


class ThinkingDisabled(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="disabled"):
    """The model does not think."""


class SchemaOutput(msgspec.Struct, forbid_unknown_fields=True):
    """The answer is JSON that satisfies a schema."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The form of the answer."""

    format: SchemaOutput | None = None
    effort: None = None


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    """Who asks, for the log."""

    user_id: Annotated[str, Meta(max_length=256)] | None = None


class CountBody(SamplingFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/messages/count_tokens. What is only said about the answer may be there and changes no count."""

    messages: Annotated[list[MessageParam], Meta(min_length=1)]
    model: str | None = None
    system: str | list[TextBlock] | None = None
    tools: Annotated[list[ClientTool], Meta(max_length=128)] | None = None
    tool_choice: AutoChoice | AnyChoice | OneChoice | NoChoice | None = None
    thinking: ThinkingEnabled | ThinkingAdaptive | ThinkingDisabled | None = None
    output_config: OutputConfig | None = None
    cache_control: CacheControl | None = None

    @property
    def choice(self) -> ToolChoice | None:
        """The choice of tools as the chat dialect has it."""
        if isinstance(self.tool_choice, OneChoice):
            return NamedTool("function", FunctionName(self.tool_choice.name))
        if isinstance(self.tool_choice, AnyChoice):
            return "required"
        return "none" if isinstance(self.tool_choice, NoChoice) else None

    @property
    def parallel_tool_calls(self) -> bool:
        """Whether several tools may be called at once."""
        return not getattr(self.tool_choice, "disable_parallel_tool_use", None)

    @property
    def template_kwargs(self) -> dict[str, Any]:
        """What the chat template is told about thinking."""
        if self.thinking is None or isinstance(self.thinking, ThinkingAdaptive):
            return {}
        return {"enable_thinking": isinstance(self.thinking, ThinkingEnabled)}

    @property
    def grammar(self) -> Grammar | None:
        """What binds the answer."""
        if self.output_config is None or self.output_config.format is None:
            return None
        return JsonSchema("output_config.format.schema", self.output_config.format.schema)


class MessagesBody(CountBody, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/messages."""

    max_tokens: Tokens
    stop_sequences: Annotated[list[StopText], Meta(max_length=8)] | None = None
    stream: bool | None = None
    metadata: Metadata | None = None


def check(body: CountBody) -> None:
    """What types cannot say. Raises InvalidRequestError naming the field."""
    names = [tool.name for tool in body.tools or ()]
    for index, name in enumerate(names):
        if name in names[:index]:
            where = f"tools[{index}].name"
            raise InvalidRequestError(f"{where}: {name!r} is the name of an earlier tool", param=where)
    if isinstance(body.tool_choice, OneChoice) and body.tool_choice.name not in names:
        raise InvalidRequestError("tool_choice.name: no tool has this name", param="tool_choice.name")
    if isinstance(body.tool_choice, AnyChoice) and not names:
        raise InvalidRequestError("tool_choice: there are no tools to call", param="tool_choice")
    if body.messages[-1].role == "assistant":
        where = f"messages[{len(body.messages) - 1}].role"
        raise InvalidRequestError(
            f"{where}: the last turn must be the user's; an answer cannot be begun for it", param=where
        )


def chat_messages(body: CountBody) -> list[ChatMessage]:
    """The conversation as the engine takes it. Raises InvalidRequestError for a block in the wrong place."""
    messages = [ChatMessage("system", _text(body.system))] if body.system else []
    called: dict[str, str] = {}
    for index, turn in enumerate(body.messages):
        if isinstance(turn.content, str):
            messages.append(ChatMessage(turn.role, turn.content))
        elif turn.role == "assistant":
            messages.append(_assistant(turn.content, f"messages[{index}].content", called))
        else:
            messages += _user(turn.content, f"messages[{index}].content", called)
    return messages


def _assistant(blocks: list[Any], where: str, called: dict[str, str]) -> ChatMessage:
    calls: list[ToolCall] = []
    for index, block in enumerate(blocks):
        if isinstance(block, ToolResultBlock):
            raise InvalidRequestError(
                f"{where}[{index}].type: only a user's turn has results", param=f"{where}[{index}].type"
            )
        if isinstance(block, ToolUseBlock):
            called[block.id] = block.name
            calls.append(ToolCall(block.id, block.name, json.dumps(block.input, ensure_ascii=False)))
    thought = "".join(block.thinking for block in blocks if isinstance(block, ThinkingBlock))
    return ChatMessage("assistant", _text(blocks), tool_calls=calls, reasoning=thought)


def _user(blocks: list[Any], where: str, called: dict[str, str]) -> list[ChatMessage]:
    """Results are turns of their own and come before what the user says."""
    results: list[ChatMessage] = []
    for index, block in enumerate(blocks):
        if isinstance(block, ThinkingBlock | ToolUseBlock):
            place = f"{where}[{index}].type"
            raise InvalidRequestError(f"{place}: only an assistant's turn has such a block", param=place)
        if isinstance(block, ToolResultBlock):
            if block.tool_use_id not in called:
                place = f"{where}[{index}].tool_use_id"
                raise InvalidRequestError(f"{place}: no tool_use before it has this id", param=place)
            text = ("Error: " if block.is_error else "") + _text(block.content or "")
            results.append(ChatMessage("tool", text, tool_call_id=block.tool_use_id, name=called[block.tool_use_id]))
    if len(results) == len(blocks) and results:
        return results
    return [*results, ChatMessage("user", _text(blocks))]


def _text(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    return "".join(block.text for block in content if isinstance(block, TextBlock))
