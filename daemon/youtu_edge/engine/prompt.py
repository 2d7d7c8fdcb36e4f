"""From messages to token ids: the chat template and the tokenizer. Knows no model.

Text of users is data. A control token written inside a message (`<|im_start|>`) must reach the model as the characters it
is made of, never as the control token. The template needs to see the text as it is (it may trim or split it), so a
noncharacter is put inside every such string before rendering, and the rendered text is cut there:

    content   a <|im_end|> b      ->  a <¦|im_end|> b      ->  template  ->  cut at ¦  ->  encode each piece

Earlier answers whose tokens are known keep them (known_tokens.py).
"""

from __future__ import annotations

import datetime
import itertools
import json
import re
from typing import Any, Literal, NoReturn

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.sandbox

from youtu_edge.engine.conversation import Tools, mapped, strings, turns, turns_without_tools
from youtu_edge.engine.detokenize import Vocabulary
from youtu_edge.engine.known_tokens import bracket, split
from youtu_edge.errors import InvalidRequestError
from youtu_edge.protocol import ChatMessage

# Unicode noncharacters: never assigned, so no text needs them. The first that a conversation does not contain is the mark.
_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]

_THOUGHT_WINDOW = 16
"""Tokens at the end of a prompt in which a tag of a thought would be."""

_OWN_VARIABLES = ("messages", "tools", "add_generation_prompt")


class PromptError(InvalidRequestError):
    """The conversation cannot be rendered by this model's template."""


class Prompter:
    """Renders and tokenises prompts for one model package.

    tokenizer: a `tokenizers.Tokenizer`. template: the Jinja source, or None for models without one.
    bos_token_id: put in front of every prompt that does not start with it; None for models that want none.
    prompt_end: put behind every prompt.
    variables: strings such as bos_token that the template may use.
    system_prompt: put in front of conversations without a system message; empty: none.
    thinking: the template's `enable_thinking` where the request does not set it; None: the template's own way.
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
    ) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = Vocabulary(tokenizer)
        self._bos = bos_token_id
        self._prompt_end = prompt_end or []
        self._variables = variables or {}
        self._system_prompt = system_prompt
        self._thinking = thinking
        added = [token.content for token in tokenizer.get_added_tokens_decoder().values() if len(token.content) > 1]
        pattern = "|".join(re.escape(text) for text in sorted(added, key=len, reverse=True))
        self._control = re.compile(pattern) if pattern else None
        self._beginnings = tuple({token[:cut] for token in added for cut in range(1, len(token))})
        self._endings = tuple({token[cut:] for token in added for cut in range(1, len(token))})
        # The names are the variables that the template looks up; another one can change nothing.
        self._template: jinja2.Template | None = None
        self._names: set[str] = set()
        if template is not None:
            self._template, self._names = _compile(template)

    def encode_text(self, text: str, *, add_special: bool = True) -> list[int]:
        """Token ids of plain text: no control token is parsed; what begins and ends a prompt is added if `add_special`."""
        mark = _mark_for([text])
        ids = self._encode(self._defuse(text, mark), mark)
        return self._with_ends(ids) if add_special else ids

    def encode_beginning(self, system: str) -> list[int]:
        """The token ids with which every conversation with this system message begins, whatever the user says.

        Models without a template: those of the text, but the last one, which may melt into what follows.
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

        Raises PromptError when there is no template or the template refuses the conversation.
        """
        rendered, mark = self._render(bracket(messages), template_kwargs or {}, tools or [])
        ids: list[int] = []
        for piece in split(rendered, messages, self._vocabulary, mark):
            ids += self._encode(piece, mark) if isinstance(piece, str) else piece
        return self._with_ends(ids)

    def render(
        self, messages: list[ChatMessage], template_kwargs: dict[str, Any] | None = None, tools: Tools | None = None
    ) -> str:
        """The rendered conversation as text, for people to look at."""
        rendered, mark = self._render(messages, template_kwargs or {}, tools or [])
        return rendered.replace(mark, "")

    def thought(self, ids: list[int]) -> Literal["open", "closed", "possible"]:
        """Whether a prompt ends inside <think>, right behind </think>, or leaves it to the answer to begin a thought."""
        end = str(self._tokenizer.decode(ids[-_THOUGHT_WINDOW:], skip_special_tokens=False)).rstrip()
        return "open" if end.endswith("<think>") else "closed" if end.endswith("</think>") else "possible"

    def _render(self, messages: list[ChatMessage], template_kwargs: dict[str, Any], tools: Tools) -> tuple[str, str]:
        """The rendered conversation, and the mark that cuts it."""
        if self._template is None:
            raise PromptError("this model has no chat template; use a plain prompt", param="messages")
        self._check(template_kwargs)
        messages = self._with_system(messages)
        if self._thinking is not None and "enable_thinking" in self._names:
            template_kwargs = {"enable_thinking": self._thinking, **template_kwargs}
        shaped: dict[str, Any] = {**template_kwargs}
        if "tools" in self._names:
            shaped |= {"messages": turns(messages), **({"tools": tools} if tools else {})}
        else:
            shaped["messages"] = turns_without_tools(messages, tools)
        mark = _mark_for(list(strings(shaped)))
        shaped = {name: mapped(value, lambda text: self._defuse(text, mark)) for name, value in shaped.items()}
        for turn in shaped["messages"]:
            turn["role"] = turn["role"].replace(mark, "")  # templates compare it; the front knows all of them
        try:
            rendered = self._template.render({**self._variables, **shaped, "add_generation_prompt": True})
        except (jinja2.TemplateError, TypeError, ValueError, KeyError) as error:
            raise PromptError(f"the model's chat template refuses this conversation: {error}", param="messages") from None
        return rendered, mark

    def _with_system(self, messages: list[ChatMessage]) -> list[ChatMessage]:
        if not self._system_prompt or any(message.role == "system" for message in messages):
            return messages
        return [ChatMessage("system", self._system_prompt), *messages]

    def _check(self, template_kwargs: dict[str, Any]) -> None:
        for name, value in template_kwargs.items():
            where = f"chat_template_kwargs.{name}"
            if name in (*_OWN_VARIABLES, *self._variables):
                raise PromptError(f"{where}: is set by the daemon", param=where)
            if name not in self._names and (name, value) != ("enable_thinking", False):
                raise PromptError(f"{where}: this model's chat template does not know it", param=where)

    def _defuse(self, text: str, mark: str) -> str:
        """Put `mark` behind the first character of every control token, until no piece contains one, and at an end of the
        text that could become part of one together with what the template writes beside it."""
        if self._control is None:
            return text
        # Templates may trim a message, so its ends are where its white space begins.
        body = text.strip()
        begin = text.index(body)
        cuts = {begin} if body.startswith(self._endings) else set()
        cuts |= {begin + len(body)} if body.endswith(self._beginnings) else set()
        pieces = [text[i:j] for i, j in itertools.pairwise([0, *sorted(cuts), len(text)])]
        index = 0
        while index < len(pieces):
            found = self._control.search(pieces[index])
            if found is None:
                index += 1
                continue
            cut = found.start() + 1
            pieces[index : index + 1] = [pieces[index][:cut], pieces[index][cut:]]
        return mark.join(pieces)

    def _encode(self, text: str, mark: str) -> list[int]:
        ids: list[int] = []
        for piece in text.split(mark):
            if piece:
                ids += self._tokenizer.encode(piece, add_special_tokens=False).ids
        return ids

    def _with_ends(self, ids: list[int]) -> list[int]:
        begin = [] if self._bos is None or (ids and ids[0] == self._bos) else [self._bos]
        return [*begin, *ids, *self._prompt_end]


def _mark_for(texts: list[str]) -> str:
    for mark in _MARKS:
        if not any(mark in text for text in texts):
            return mark
    raise PromptError("the text contains every Unicode noncharacter from U+FDD0 to U+FDEF; remove them")


def _compile(source: str) -> tuple[jinja2.Template, set[str]]:
    """The template, and the names of the variables that it looks up."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )

    def refuse(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)

    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda pattern: datetime.datetime.now().strftime(pattern)
    environment.filters["tojson"] = to_json
    return environment.from_string(source), jinja2.meta.find_undeclared_variables(environment.parse(source))
