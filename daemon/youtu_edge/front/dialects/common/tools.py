"""Tools in OpenAI's chat dialect: definitions, the choice among them, and calls of earlier turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.prompt import ToolCall
from youtu_edge.request_errors import InvalidRequestError

ToolName = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]


class FunctionDefinition(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A function that the model may call."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON schema of the arguments; without one the function takes none."""
    strict: bool | None = None
    """Makes no difference: arguments always satisfy the schema."""


class Tool(msgspec.Struct, forbid_unknown_fields=True):
    """A tool; only functions are supported."""

    type: Literal["function"]
    function: FunctionDefinition


class FunctionName(msgspec.Struct, forbid_unknown_fields=True):
    """The function that must be called."""

    name: str


class NamedTool(msgspec.Struct, forbid_unknown_fields=True):
    """A choice of one tool."""

    type: Literal["function"]
    function: FunctionName


ToolChoice = Literal["none", "auto", "required"] | NamedTool


class CalledFunction(msgspec.Struct, forbid_unknown_fields=True):
    """A function that an earlier turn called. `parsed_arguments`, which OpenAI's client adds, is ignored."""

    name: str
    arguments: str
    parsed_arguments: Any = None


class MadeCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call made in an earlier turn of the assistant. `index`, left over from a stream, is ignored."""

    id: str
    type: Literal["function"]
    function: CalledFunction
    index: int | None = None

    def as_tool_call(self) -> ToolCall:
        """The call in the engine's form."""
        return ToolCall(self.id, self.function.name, self.function.arguments)


def check_tools(tools: Sequence[Tool] | None, choice: ToolChoice | None) -> None:
    """What types cannot express. Raises InvalidRequestError naming the field."""
    names = [tool.function.name for tool in tools or ()]
    for index, name in enumerate(names):
        if name in names[:index]:
            where = f"tools[{index}].function.name"
            raise InvalidRequestError(f"{where}: {name!r} is defined twice", param=where)
    if choice == "required" and not names:
        raise InvalidRequestError("tool_choice: there are no tools to call", param="tool_choice")
    if isinstance(choice, NamedTool) and choice.function.name not in names:
        raise InvalidRequestError(
            f"tool_choice: {choice.function.name[:64]!r} is not one of the tools", param="tool_choice.function.name"
        )


def definitions(tools: Sequence[Tool] | None) -> list[dict[str, Any]]:
    """The tools as chat templates render them."""
    return [msgspec.to_builtins(tool) for tool in tools or ()]


def offer_tools(
    submit: GenerationRequest, tools: Sequence[Tool] | None, choice: ToolChoice | None, parallel_tool_calls: bool | None
) -> None:
    """Put the tools into the request. With the choice `none` they are left out of the prompt."""
    if not tools or choice == "none":
        return
    submit.tools = definitions(tools)
    submit.parallel_tool_calls = parallel_tool_calls is not False
    if choice == "required":
        submit.must_call = [tool.function.name for tool in tools]
    elif isinstance(choice, NamedTool):
        submit.must_call = [choice.function.name]
