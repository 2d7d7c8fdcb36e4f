"""A chat template of every family in miniature, `chat_templates/*.jinja`, and what is known about it.

They have the control tokens, roles, switches and turns of tools that the family's models know, and habits that others have
not, such as raising exceptions. The words are our own. Qwen 2.5's is like Qwen 3's; youtu-nano has Youtu's.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

_DIRECTORY = Path(__file__).with_name("chat_templates")


class FamilyTemplate(msgspec.Struct, frozen=True):
    """`closes_thought` follows the beginning of the assistant's turn without thinking, `turns_off` is elsewhere then."""

    name: str
    form: str
    """The form of tool calls, see tool_formats."""
    opens: str
    """The beginning of the assistant's turn, with which a prompt ends."""
    closes_thought: str = ""
    turns_off: str = ""
    can_think: bool = False
    """It has a switch."""

    @property
    def source(self) -> str:
        """The template."""
        return (_DIRECTORY / f"{self.name}.jinja").read_text(encoding="utf-8")


_IM = "<|im_start|>assistant\n"
_NO_THOUGHT = "<think>\n\n</think>\n"
TEMPLATES = {
    template.name: template
    for template in (
        FamilyTemplate("qwen3", "hermes", _IM, f"{_NO_THOUGHT}\n", can_think=True),
        FamilyTemplate("smollm3", "hermes", _IM, _NO_THOUGHT, "/no_think", can_think=True),
        FamilyTemplate("mistral", "mistral", "[/INST]"),
        FamilyTemplate("ministral", "mistral-args", "[/INST]"),
        FamilyTemplate("granite", "granite", "<|start_of_role|>assistant<|end_of_role|>", can_think=True),
        FamilyTemplate("phi3", "hermes", "<|assistant|>\n"),
        FamilyTemplate("phi-4-mini", "phi", "<|assistant|>"),
        FamilyTemplate("llama", "json", "<|start_header_id|>assistant<|end_header_id|>\n\n"),
        FamilyTemplate("gemma3", "json", "<start_of_turn>model\n"),
        FamilyTemplate("minicpm", "minicpm", _IM),
        FamilyTemplate("chatglm", "hermes", "<|assistant|>"),
    )
}
