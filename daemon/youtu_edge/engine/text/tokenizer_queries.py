"""Answers queries about text, tokens and the chat template."""

from __future__ import annotations

from typing import Any

from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.protocol.from_engine import Reply
from youtu_edge.protocol.to_engine import Detokenize, Query, Tokenize, TokenizerQuery
from youtu_edge.request_errors import InvalidRequestError


class Answerer:
    """`tokenizer` is the prompter's `tokenizers.Tokenizer`; valid token ids are below `vocab_size`."""

    def __init__(self, tokenizer: Any, prompter: Prompter, vocab_size: int) -> None:
        self._vocab_size = vocab_size
        self._tokenizer = tokenizer
        self._prompter = prompter

    def answer(self, query: Query) -> Reply:
        """The answer. Raises whatever the template and the tokenizer raise for the text."""
        return Reply(query.id, *self._answer(query.query))

    def _answer(self, query: TokenizerQuery) -> tuple[str, list[int]]:
        if isinstance(query, Tokenize):
            return query.text, self._prompter.encode_text(query.text, add_special=query.add_special)
        if isinstance(query, Detokenize):
            return self._text(query.tokens), query.tokens
        rendered = self._prompter.render(query.messages, query.template_kwargs, query.tools)
        return rendered, self._prompter.encode_chat(query.messages, query.template_kwargs, query.tools)

    def _text(self, tokens: list[int]) -> str:
        size = self._vocab_size
        for index, token in enumerate(tokens):
            if not 0 <= token < size:
                where = f"tokens[{index}]"
                raise InvalidRequestError(f"{where}: {token} is not one of the {size} tokens of this model", param=where)
        return str(self._tokenizer.decode(tokens, skip_special_tokens=False))
