"""The forms in which models write tool calls, as data. A model's form is known by the words of its chat template.

begin opening NAME middle ARGUMENTS closing end           for lists:  begin [opening … closing, opening … closing] end
"""

from __future__ import annotations

import msgspec

from youtu_edge.keyword_arguments import as_keywords


class CallList(msgspec.Struct, frozen=True, kw_only=True):
    """What stands around and between the calls of one list. The patterns, of Python and Lark, are what models may write."""

    begin: str
    between: str
    end: str
    begin_pattern: str
    between_pattern: str
    end_pattern: str


class ToolFormat(msgspec.Struct, frozen=True, kw_only=True):
    """One form of tool calls; ARGUMENTS is a JSON object, or what stands between the parentheses of a call in Python."""

    name: str
    words: tuple[str, ...] = ()
    """Any of them in a chat template means this form."""
    begin: str
    """The text that begins a call, or a list of them."""
    opening: str = '{"name": "'
    middle: str = '", "arguments": '
    closing: str = "}"
    end: str = ""
    calls: CallList | None = None
    """All calls of an answer are in one list."""
    has_keywords: bool = False
    """ARGUMENTS are keyword arguments as in Python, see keyword_arguments."""
    at_start: bool = False
    """A call is the whole answer: `begin` elsewhere in it is text."""
    prefix: str = ""
    """With `at_start`: what may precede `begin`."""
    is_in_system: bool = False
    """The template expects the tools as JSON text in `tools` of the system message."""
    id_length: int = 0
    """The template demands ids of calls of so many letters and digits; 0: any."""

    @property
    def may_repeat(self) -> bool:
        """Whether another call may follow the end of one."""
        return self.calls is None and not self.at_start

    def call(self, name: str, arguments: str) -> str:
        """The text of one call, as in an answer; `arguments` is JSON."""
        inner = as_keywords(arguments) if self.has_keywords else arguments
        before, behind = (self.calls.begin, self.calls.end) if self.calls else ("", "")
        return f"{self.begin}{before}{self.opening}{name}{self.middle}{inner}{self.closing}{behind}{self.end}"


_ARRAY = CallList(begin="[", between=", ", end="]", begin_pattern=r" ?\[", between_pattern=", ?", end_pattern=r"\]")
_CODE = CallList(
    begin="\n```python\n",
    between="\n",
    end="\n```\n",
    begin_pattern=r"\n?```python\n",
    between_pattern=r"\n",
    end_pattern=r"\n```\n?",
)
HERMES = ToolFormat(name="hermes", words=("<tool_call>",), begin="<tool_call>", end="</tool_call>")
TOOL_FORMATS: tuple[ToolFormat, ...] = (
    HERMES,  # Qwen, Youtu, SmolLM3, Hermes
    # Mistral since November 2024, then the releases before; both write [TOOL_CALLS].
    ToolFormat(
        name="mistral-args", words=("[ARGS]",), begin="[TOOL_CALLS]", opening="", middle="[ARGS]", closing="", id_length=9
    ),
    ToolFormat(name="mistral", words=("[TOOL_CALLS]",), begin="[TOOL_CALLS]", calls=_ARRAY, id_length=9),
    ToolFormat(name="granite", words=("<|tool_call|>", "<|start_of_role|>"), begin="<|tool_call|>", calls=_ARRAY),
    ToolFormat(
        name="phi", words=("<|tool|>",), begin="<|tool_call|>", end="<|/tool_call|>", calls=_ARRAY, is_in_system=True
    ),  # Phi-4-mini
    ToolFormat(
        name="minicpm", words=("<|tool_call_start|>",), begin="<|tool_call_start|>", end="<|tool_call_end|>", calls=_CODE,
        opening="", middle="(", closing=")", has_keywords=True,
    ),
    # Llama 3.1 and later, with custom tools; Gemma 3, whose template has no place for tools, is asked for the same.
    ToolFormat(
        name="json", words=("<|python_tag|>", '"parameters": dictionary', "<start_of_turn>"), begin='{"name": "',
        opening="", middle='", "parameters": ', at_start=True, prefix="<|python_tag|>",
    ),
)  # fmt: skip
"""In the order in which templates are searched for their words; of models whose template has none of them, the first."""
_BY_NAME = {form.name: form for form in TOOL_FORMATS}
TOOL_TAGS = frozenset(
    tag for form in TOOL_FORMATS for tag in (form.begin, form.middle, form.end, form.prefix) if tag[:1] in ("<", "[")
)
"""Control tokens that some model has for parts of these forms."""


def format_named(name: str) -> ToolFormat:
    """Raises KeyError for a name that is not in the table."""
    return _BY_NAME[name]


def format_of(template: str | None) -> ToolFormat:
    """The form that a chat template speaks of."""
    found = (form for form in TOOL_FORMATS if any(word in (template or "") for word in form.words))
    return next(found, HERMES)
