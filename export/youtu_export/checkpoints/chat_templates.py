"""Selects a checkpoint's chat template, tests it, and finds the token that ends a turn.

Sources of a Hugging Face directory, in order of precedence as in transformers and llama.cpp: chat_template.jinja,
chat_template in tokenizer_config.json, chat_template.json. Each may have several by name, of which `default` is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from youtu_edge.chat_template import ChatTemplate, TemplateSourceError, compile_template
from youtu_export.checkpoints.special_tokens import Claim
from youtu_export.errors import ExportError
from youtu_export.findings import Findings

DEFAULT = "default"
_QUESTION, _ANSWER = "What is it?", "Certainly."


@dataclass(frozen=True)
class FoundTemplate:
    """A template's text and where it was found."""

    path: Path
    key: str
    text: str

    @property
    def where(self) -> str:
        """The beginning of an error message about it."""
        return f"{self.path}: {self.key}: " if self.key else f"{self.path}: "


def templates_in(path: Path, key: str, value: Any) -> dict[str, FoundTemplate]:
    """The templates of one source by name; `value` is null, a string, {name: string}, or [{name, template}].

    Blank ones are skipped. Raises ExportError for anything else.
    """
    if isinstance(value, list):
        if not all(isinstance(entry, Mapping) and isinstance(entry.get("name"), str) for entry in value):
            raise ExportError(f"{path}: {key}: not a list of objects with name and template")
        value = {entry["name"]: entry.get("template") for entry in value}
    elif isinstance(value, str):
        value = {DEFAULT: value}
    elif value is None:
        value = {}
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise ExportError(f"{path}: {key}: neither a string nor templates by name")
    return {name: FoundTemplate(path, key, text) for name, text in value.items() if text.strip()}


def chosen_template(sources: Sequence[Mapping[str, FoundTemplate]], findings: Findings) -> FoundTemplate | None:
    """The default template of the first source that has one; warns about the others.

    Raises ExportError if all templates have other names.
    """
    chosen: FoundTemplate | None = None
    for templates in sources:
        for name, found in templates.items():
            if name == DEFAULT and chosen is None:
                chosen = found
                findings.notes.append(f"chat template: {found.path.name}" + (f" {found.key}" if found.key else ""))
            elif name != DEFAULT:
                findings.warnings.append(f"{found.path}: chat template {name!r} is ignored; only {DEFAULT} is used")
            elif chosen is not None and found.text.strip() != chosen.text.strip():
                findings.warnings.append(f"{found.path}: chat template differs from that of {chosen.path.name}; ignored")
    others = [(name, found) for templates in sources for name, found in templates.items()]
    if chosen is None and others:
        raise ExportError(
            f"{others[0][1].where}no chat template is named {DEFAULT} ({', '.join(repr(name) for name, _ in others)}); "
            "give that name to the one to use; in a directory, chat_template.jinja also counts"
        )
    return chosen


def checked_template(found: FoundTemplate, variables: Mapping[str, str]) -> ChatTemplate:
    """The template compiled as in the engine; it rendered a test conversation. Raises ExportError naming file and line."""
    try:
        template = compile_template(found.text)
    except TemplateSourceError as error:
        raise ExportError(f"{found.where}the chat template cannot be compiled: {error}") from None
    try:
        _render(template, variables, [_QUESTION], begins_answer=True)
    except Exception as error:  # a template can raise any exception
        raise ExportError(
            f"{found.where}the chat template fails on a conversation of one message: {type(error).__name__}: {error}; "
            "correct it, or remove it for a model that only completes plain prompts"
        ) from None
    return template


def turn_end(
    found: FoundTemplate, template: ChatTemplate, variables: Mapping[str, str], tokenizer: Tokenizer
) -> list[Claim]:
    """The token after an answer when the conversation continues; none if text follows, or if it cannot be determined."""
    try:
        text = _render(template, variables, [_QUESTION, _ANSWER, _QUESTION], begins_answer=False)
    except Exception:  # it may require other roles or conversations; the test conversation has rendered
        return []
    _, answer, rest = text.rpartition(_ANSWER)
    rest = rest.lstrip()
    tokens = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.content.strip()]
    follows = max((token for token in tokens if answer and rest.startswith(token)), key=len, default=None)
    return [] if follows is None else [Claim(found.path, "turn end of the chat template", (follows,))]


def _render(template: ChatTemplate, variables: Mapping[str, str], turns: Sequence[str], *, begins_answer: bool) -> str:
    roles = ("user", "assistant")
    messages = [{"role": roles[index % 2], "content": text} for index, text in enumerate(turns)]
    return template.render({**variables, "messages": messages, "add_generation_prompt": begins_answer})
