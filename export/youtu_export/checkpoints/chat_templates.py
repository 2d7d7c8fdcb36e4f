"""Which of a checkpoint's chat templates is taken, whether it works, and the token with which it ends a turn.

Sources of a Hugging Face directory, the strongest first, as transformers and llama.cpp read them: chat_template.jinja,
chat_template in tokenizer_config.json, chat_template.json. Each may hold several by name, of which `default` is taken.
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
    """A template's text and where it stands."""

    path: Path
    key: str
    text: str

    @property
    def where(self) -> str:
        """How an error about it begins."""
        return f"{self.path}: {self.key}: " if self.key else f"{self.path}: "


def templates_in(path: Path, key: str, value: Any) -> dict[str, FoundTemplate]:
    """The templates by name in what one source says: null, a text, {name: text}, or [{name, template}].

    Blank ones are none. Raises ExportError for anything else.
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
        raise ExportError(f"{path}: {key}: neither a text nor templates by name")
    return {name: FoundTemplate(path, key, text) for name, text in value.items() if text.strip()}


def chosen_template(sources: Sequence[Mapping[str, FoundTemplate]], findings: Findings) -> FoundTemplate | None:
    """The default template of the first source that has one; warns of what is left out.

    Raises ExportError where all templates have other names.
    """
    chosen: FoundTemplate | None = None
    for templates in sources:
        for name, found in templates.items():
            if name == DEFAULT and chosen is None:
                chosen = found
                findings.notes.append(f"chat template: {found.path.name}" + (f" {found.key}" if found.key else ""))
            elif name != DEFAULT:
                findings.warnings.append(f"{found.path}: chat template {name!r} is left out, as all but {DEFAULT}")
            elif chosen is not None and found.text.strip() != chosen.text.strip():
                findings.warnings.append(f"{found.path}: another chat template than that of {chosen.path.name}; left out")
    others = [(name, found) for templates in sources for name, found in templates.items()]
    if chosen is None and others:
        raise ExportError(
            f"{others[0][1].where}no chat template is named {DEFAULT} ({', '.join(repr(name) for name, _ in others)}); "
            "name the one to use so, in a checkpoint also by putting it into chat_template.jinja"
        )
    return chosen


def checked_template(found: FoundTemplate, variables: Mapping[str, str]) -> ChatTemplate:
    """The template compiled as the engine will; it rendered a conversation. Raises ExportError naming file and line."""
    try:
        template = compile_template(found.text)
    except TemplateSourceError as error:
        raise ExportError(f"{found.where}the chat template cannot be compiled: {error}") from None
    try:
        _render(template, variables, [_QUESTION], begins_answer=True)
    except Exception as error:  # a template can make Python raise anything
        raise ExportError(
            f"{found.where}the chat template fails with a conversation of one message: {type(error).__name__}: {error}; "
            "repair it, or remove it for a model that only continues plain prompts"
        ) from None
    return template


def turn_end(
    found: FoundTemplate, template: ChatTemplate, variables: Mapping[str, str], tokenizer: Tokenizer
) -> list[Claim]:
    """The token that follows an answer where the conversation goes on; none if text follows, or nothing can be said."""
    try:
        text = _render(template, variables, [_QUESTION, _ANSWER, _QUESTION], begins_answer=False)
    except Exception:  # it may want other roles or other conversations; the first one above it has rendered
        return []
    _, answer, rest = text.rpartition(_ANSWER)
    rest = rest.lstrip()
    tokens = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.content.strip()]
    follows = max((token for token in tokens if answer and rest.startswith(token)), key=len, default=None)
    return [] if follows is None else [Claim(found.path, "turn end of the chat template", (follows,))]


def _render(template: ChatTemplate, variables: Mapping[str, str], said: Sequence[str], *, begins_answer: bool) -> str:
    roles = ("user", "assistant")
    messages = [{"role": roles[index % 2], "content": text} for index, text in enumerate(said)]
    return template.render({**variables, "messages": messages, "add_generation_prompt": begins_answer})
