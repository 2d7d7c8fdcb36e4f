"""From messages to token ids: the chat template and the tokenizer.

Text from users is data: a control token's text in a message does not become that token (text_encoder.py). Templates may
trim or split a message, so its text is not replaced before rendering, only marked with a noncharacter.
Earlier answers whose tokens are known keep them (known_tokens.py).
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import jinja2

from youtu_edge.chat_template import ChatTemplate, compile_template
from youtu_edge.engine.text.conversation import Tools, mapped, strings, turns, turns_without_tools
from youtu_edge.engine.text.detokenize import Vocabulary
from youtu_edge.engine.text.infilling import infill_tokens
from youtu_edge.engine.text.known_tokens import bracket, split, unbracket
from youtu_edge.engine.text.text_encoder import TextEncoder
from youtu_edge.engine.text.token_bound import TextLimit
from youtu_edge.protocol.prompt import ChatMessage
from youtu_edge.protocol.tags import THOUGHT_BEGIN, THOUGHT_END
from youtu_edge.request_errors import InvalidRequestError, UnsupportedParameterError
from youtu_edge.tool_formats import ToolFormat, format_named, format_of

# Unicode noncharacters: never assigned, so no text needs them. The mark is the first one not in the conversation.
_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]

_THOUGHT_WINDOW = 16
"""Tokens at the end of a prompt that are searched for a tag of a thought."""

_SWITCHES = ("enable_thinking", "thinking")
"""Variables by which templates switch thinking: requests and configuration have the first, Granite's template the other."""
_OWN_VARIABLES = ("messages", "tools", "add_generation_prompt")


class PromptError(InvalidRequestError):
    """This model's template cannot render the conversation."""


class Prompter:
    """Renders and tokenises prompts for one model package.

    tokenizer: a `tokenizers.Tokenizer`. template: the Jinja source, or None for models without one.
    bos_token_id: prepended to every prompt that does not start with it; None for models without one.
    prompt_end: appended to every prompt.
    variables: strings such as bos_token that the template may use.
    system_prompt: prepended to conversations without a system message; empty: none.
    thinking: the default of the template's `enable_thinking`; None: the template's own default.
    tool_format: see Manifest.tool_format.
    """

    def __init__(
        self,
        tokenizer: Any,
        template: str | None,
        *,
        bos_token_id: int | None = None,
        prompt_end: list[int] | None = None,
        variables: dict[str, str] | None = None,
        system_prompt: str = "",
        thinking: bool | None = None,
        tool_format: str = "",
    ) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = Vocabulary(tokenizer)
        self._bos = bos_token_id
        self._prompt_end = prompt_end or []
        self._variables = variables or {}
        self._system_prompt = system_prompt
        self._thinking = thinking
        self.limit: TextLimit | None = None
        """The maximum length of texts; None: unlimited."""
        self._encoder = TextEncoder(tokenizer, self._vocabulary)
        self._infill = infill_tokens(tokenizer)
        self._template: ChatTemplate | None = None if template is None else compile_template(template)
        self._names = self._template.names if self._template else frozenset()
        self.tool_format: ToolFormat = format_named(tool_format) if tool_format else format_of(template)

    @property
    def infills(self) -> bool:
        """Whether `encode_infill` has the tokens that it needs."""
        return self._infill is not None

    def encode_text(self, text: str, *, add_special: bool = True) -> list[int]:
        """Token ids of plain text, in which no control token is recognised; `add_special` adds BOS and `prompt_end`.

        Raises ContextLengthError beyond `limit`.
        """
        self._check_length(text, None)
        ids = self._encoder.encode_plain(text)
        return self._with_ends(ids) if add_special else ids

    def encode_infill(self, before: str, after: str) -> list[int]:
        """Token ids of a prompt for the text between two others. Raises UnsupportedParameterError, ContextLengthError."""
        if self._infill is None:
            problem = "this model's tokenizer has no tokens for text in the middle, such as <|fim_prefix|>"
            raise UnsupportedParameterError(f"suffix: {problem}; leave it out", param="suffix")
        self._check_length(before + after, None)
        first, last = self._encoder.encode_plain(before), self._encoder.encode_plain(after)
        return self._with_ends([self._infill.prefix, *first, self._infill.suffix, *last, self._infill.middle])

    def encode_answer(self, text: str) -> list[int]:
        """Token ids of a piece of an answer, as a model would produce it; no space is added before its first word."""
        return self._encoder.encode_answer(text)

    def encode_beginning(self, system: str) -> list[int]:
        """The token ids with which every conversation with this system message begins.

        For models without a template, those of the text except the last, which may merge with the text that follows.
        Raises PromptError.
        """
        if self._template is None:
            return self.encode_text(system)[:-1]
        begun = [ChatMessage("system", system)]
        ways = [self.encode_chat([*begun, ChatMessage("user", text)]) for text in ("a", "\n0", "\u4e00")]
        same = itertools.takewhile(lambda ids: len(set(ids)) == 1, zip(*ways, strict=False))
        return [ids[0] for ids in same]

    def encode_chat(
        self, messages: list[ChatMessage], template_kwargs: dict[str, Any] | None = None, tools: Tools | None = None
    ) -> list[int]:
        """Token ids of a conversation up to where the assistant's answer begins.

        Raises PromptError if there is no template or it rejects the conversation, and ContextLengthError beyond `limit`.
        """
        rendered, mark = self._render(bracket(messages), template_kwargs or {}, tools or [])
        self._check_length(unbracket(rendered).replace(mark, ""), "messages")
        ids: list[int] = []
        for piece in split(rendered, messages, self._vocabulary, mark):
            if isinstance(piece, str):
                piece = self._encoder.encode(piece, mark, is_continuation=bool(ids))
            ids += piece
        return self._with_ends(ids)

    def render(
        self, messages: list[ChatMessage], template_kwargs: dict[str, Any] | None = None, tools: Tools | None = None
    ) -> str:
        """The rendered conversation as text, without marks."""
        rendered, mark = self._render(messages, template_kwargs or {}, tools or [])
        return rendered.replace(mark, "")

    def thought(self, ids: list[int]) -> Literal["open", "closed", "possible"]:
        """Whether a prompt ends with <think> (open), with </think> (closed) or neither, so that a thought may follow."""
        end = str(self._tokenizer.decode(ids[-_THOUGHT_WINDOW:], skip_special_tokens=False)).rstrip()
        return "open" if end.endswith(THOUGHT_BEGIN) else "closed" if end.endswith(THOUGHT_END) else "possible"

    def _render(self, messages: list[ChatMessage], template_kwargs: dict[str, Any], tools: Tools) -> tuple[str, str]:
        """The rendered conversation, and the mark in it."""
        if self._template is None:
            raise PromptError("this model has no chat template; use a plain prompt", param="messages")
        template_kwargs = self._switched(template_kwargs)
        self._check(template_kwargs)
        messages = self._with_system(messages)
        shaped: dict[str, Any] = {**template_kwargs}
        if "tools" in self._names:
            shaped |= {"messages": turns(messages, self.tool_format), **({"tools": tools} if tools else {})}
        else:
            shaped["messages"] = turns_without_tools(messages, tools, self.tool_format)
        mark = _mark_for(list(strings(shaped)))
        shaped = {name: mapped(value, lambda text: self._encoder.defuse(text, mark)) for name, value in shaped.items()}
        for turn in shaped["messages"]:
            turn["role"] = turn["role"].replace(mark, "")  # templates compare roles, and the front accepts only known ones
        try:
            rendered = self._template.render({**self._variables, **shaped, "add_generation_prompt": True})
        except RecursionError:
            raise PromptError("messages: the conversation is nested too deeply", param="messages") from None
        except MemoryError:
            raise
        except Exception as error:  # templates are programs and may raise anything
            reason = str(error) if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {error}"
            raise PromptError(f"the model's chat template rejects this conversation: {reason}", param="messages") from None
        return rendered, mark

    def _switched(self, template_kwargs: dict[str, Any]) -> dict[str, Any]:
        """With the configured switch of thinking, under the name that the template has for it."""
        found = dict(template_kwargs)
        if self._thinking is not None and self._names & set(_SWITCHES):
            found.setdefault(_SWITCHES[0], self._thinking)
        other = next((name for name in _SWITCHES if name in self._names), _SWITCHES[0])
        if other != _SWITCHES[0] and _SWITCHES[0] in found:
            found.setdefault(other, found.pop(_SWITCHES[0]))
        return found

    def _with_system(self, messages: list[ChatMessage]) -> list[ChatMessage]:
        if not self._system_prompt or any(message.role == "system" for message in messages):
            return messages
        return [ChatMessage("system", self._system_prompt), *messages]

    def _check_length(self, text: str, param: str | None) -> None:
        if self.limit is not None:
            self.limit.check(text, param)

    def _check(self, template_kwargs: dict[str, Any]) -> None:
        for name, value in template_kwargs.items():
            where = f"chat_template_kwargs.{name}"
            if name in (*_OWN_VARIABLES, *self._variables):
                raise PromptError(f"{where}: set by the daemon; remove it", param=where)
            if name not in self._names and (name, value) != ("enable_thinking", False):
                raise PromptError(f"{where}: not used by this model's chat template; remove it", param=where)

    def _with_ends(self, ids: list[int]) -> list[int]:
        begin = [] if self._bos is None or (ids and ids[0] == self._bos) else [self._bos]
        return [*begin, *ids, *self._prompt_end]


def _mark_for(texts: list[str]) -> str:
    for mark in _MARKS:
        if not any(mark in text for text in texts):
            return mark
    raise PromptError("the text contains every Unicode noncharacter from U+FDD0 to U+FDEF; remove them")
