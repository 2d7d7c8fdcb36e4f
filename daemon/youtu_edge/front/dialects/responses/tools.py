"""Tools of the client, alone or in namespaces.

Models know no namespaces: they are offered a function of one as NAMESPACE__FUNCTION, and a call of it gets both names back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from youtu_edge.front.dialects.common.tools import FunctionDefinition, FunctionName, NamedTool, Tool, ToolName


class FunctionTool(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="function", kw_only=True):
    """A function. Arguments always satisfy `parameters`, whatever `strict` says. `type` may be left out in a request."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Namespace(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="namespace", kw_only=True):
    """Functions that belong together."""

    name: ToolName
    description: str | None = None
    tools: Annotated[list[FunctionTool], Meta(min_length=1, max_length=128)]


ResponseTool = FunctionTool | Namespace


class FunctionChoice(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """This function must be called."""

    type: Literal["function"] = "function"
    name: str

    def as_choice(self) -> NamedTool:
        """The choice in the form of the chat dialect."""
        return NamedTool("function", FunctionName(self.name))


class OfferedFunction(NamedTuple):
    """A function as the model sees it."""

    where: str
    """Its place in the body."""
    namespace: Namespace | None
    function: FunctionTool

    @property
    def name(self) -> str:
        """The name by which the model calls it."""
        return offered_name(self.namespace.name if self.namespace else None, self.function.name)

    def as_tool(self) -> Tool:
        """The tool in the form of the chat dialect. The description of the namespace stands before that of the function."""
        parts = [self.namespace.description if self.namespace else None, self.function.description]
        description = "\n\n".join(part for part in parts if part is not None) if any(parts) else self.function.description
        function = self.function
        return Tool("function", FunctionDefinition(self.name, description, function.parameters, function.strict))


def offered_name(namespace: str | None, name: str) -> str:
    """The name by which the model calls a function."""
    return f"{namespace}__{name}" if namespace else name


def offered(tools: Sequence[ResponseTool] | None) -> list[OfferedFunction]:
    """All functions, in order."""
    found = []
    for index, tool in enumerate(tools or ()):
        where = f"tools[{index}]"
        if isinstance(tool, Namespace):
            found += [OfferedFunction(f"{where}.tools[{at}]", tool, inner) for at, inner in enumerate(tool.tools)]
        else:
            found.append(OfferedFunction(where, None, tool))
    return found
