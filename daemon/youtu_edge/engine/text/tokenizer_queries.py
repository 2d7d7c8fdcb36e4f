"""Answers questions about text, tokens and the chat template."""

from __future__ import annotations

from typing import Any

from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.errors import InvalidRequestError
from youtu_edge.protocol import Ask, Detokenize, Question, Reply, Tokenize


class Answerer:
    """`tokenizer` is the `tokenizers.Tokenizer` that the prompter uses; ids below `vocab_size` are those of the model."""

    def __init__(self, tokenizer: Any, prompter: Prompter, vocab_size: int) -> None:
        self._vocab_size = vocab_size
        self._tokenizer = tokenizer
        self._prompter = prompter

    def answer(self, ask: Ask) -> Reply:
        """What a question deserves. Raises whatever its text makes template and tokenizer raise."""
        return Reply(ask.id, *self._answer(ask.question))

    def _answer(self, question: Question) -> tuple[str, list[int]]:
        if isinstance(question, Tokenize):
            return question.text, self._prompter.encode_text(question.text, add_special=question.add_special)
        if isinstance(question, Detokenize):
            return self._text(question.tokens), question.tokens
        rendered = self._prompter.render(question.messages, question.template_kwargs, question.tools)
        return rendered, self._prompter.encode_chat(question.messages, question.template_kwargs, question.tools)

    def _text(self, tokens: list[int]) -> str:
        size = self._vocab_size
        for index, token in enumerate(tokens):
            if not 0 <= token < size:
                where = f"tokens[{index}]"
                raise InvalidRequestError(f"{where}: {token} is not one of the {size} tokens of this model", param=where)
        return str(self._tokenizer.decode(tokens, skip_special_tokens=False))
