"""What is done with the text of a request before it is a sequence: rendered, tokenised, its grammar tried.

Templates, tokenizer and grammar compiler run on whatever a client sends. Whatever they raise is that request's own error;
what would end the engine ends a worker (text_workers.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from typing import Any, Literal, TypeVar

import msgspec

from youtu_edge.engine.grammar.grammar_source import GrammarSources
from youtu_edge.engine.grammar.grammar_trial import GrammarTrial
from youtu_edge.engine.incoming import IncomingText, whole
from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.engine.text.token_bound import TextLimit, TokenBound
from youtu_edge.engine.text.tokenizer_queries import Answerer
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.protocol.from_engine import Failed, Reply
from youtu_edge.protocol.to_engine import Detokenize, Query, Submit, Tokenize
from youtu_edge.request_errors import InvalidRequestError, RequestError

_MAX_REASON = 300

Result = TypeVar("Result")


class Prepared(msgspec.Struct, tag_field="t", tag="prepared", omit_defaults=True):
    """The text of a request, ready for the engine.

    tokens: none if there are more than can fit. thought: whether the prompt ends inside of <think>, see Prompter.thought.
    sources: grammars that can be compiled.
    """

    num_tokens: int
    tokens: list[int]
    thought: Literal["open", "closed", "possible"]
    sources: GrammarSources = GrammarSources()


class TextWork:
    """Works for one model."""

    def __init__(self, tokenizer: Any, prompter: Prompter, vocab_size: int, *, is_bounded: bool) -> None:
        """`is_bounded`: a grammar that takes too much memory ends this process."""
        self._tokenizer = tokenizer
        self._prompter = prompter
        self._trial = GrammarTrial(vocab_size, is_bounded=is_bounded)
        self._answerer = Answerer(tokenizer, prompter, vocab_size)
        self._bound: TokenBound | None = None
        self._max_tokens = sys.maxsize

    def learn(self) -> None:
        """Build what all workers share and the engine does not need."""
        self._bound = TokenBound(self._tokenizer)
        self._trial.load()

    def limit(self, max_tokens: int) -> None:
        """From now on refuse texts that can never fit into so many tokens; `learn` comes first."""
        self._max_tokens = max_tokens
        if self._bound is not None:
            self._prompter.limit = TextLimit(self._bound, max_tokens)

    def do(
        self, text: IncomingText, compiled: Collection[bytes], begin: Callable[[str], None] = lambda _: None
    ) -> Prepared | Reply | Failed:
        """Prepare a request or answer a query; never raises.

        compiled: digests of grammars that are known to be good. begin: told which field of a request is worked on next.
        """
        work = guarded(text.id, text.field, lambda: whole(text.body))
        if isinstance(work, Submit):
            request = work
            return guarded(text.id, text.field, lambda: self._prepare(request, compiled, begin))
        if isinstance(work, Query):
            query, field = work, _field(work)
            begin(field)
            return guarded(text.id, field, lambda: self._answerer.answer(query))
        return work

    def _prepare(self, request: Submit, compiled: Collection[bytes], begin: Callable[[str], None]) -> Prepared | Failed:
        tokens = self._tokens(request)
        if not tokens:
            raise InvalidRequestError("the prompt is empty", param="prompt")
        if len(tokens) > self._max_tokens:
            return Prepared(len(tokens), [], "closed")
        thought = self._prompter.thought(tokens) if request.messages is not None else "closed"
        if request.grammar is None and not request.tools:
            return Prepared(len(tokens), tokens, thought)
        field = request.grammar.param if request.grammar else "tools"
        begin(field)
        return guarded(
            request.id, field, lambda: Prepared(len(tokens), tokens, thought, self._trial.sources(request, compiled))
        )

    def _tokens(self, request: Submit) -> list[int]:
        if request.messages is not None:
            return self._prompter.encode_chat(request.messages, request.template_kwargs, request.tools)
        if request.prompt_tokens is not None:
            return list(request.prompt_tokens)
        return self._prompter.encode_text(request.prompt or "")


def guarded(request_id: str, field: str, work: Callable[[], Result]) -> Result | Failed:
    """The work's result, or what is wrong with the request's `field`."""
    try:
        return work()
    except YoutuEdgeError as error:
        param = error.param or (field if isinstance(error, RequestError) else None)
        return Failed(request_id, error.code, error.message, param)
    except BaseException as error:  # a panic of Rust is no Exception
        return Failed(request_id, InvalidRequestError.code, f"{field}: {_reason(error)}", field)


def _field(query: Query) -> str:
    if isinstance(query.query, Tokenize):
        return "content"
    return "tokens" if isinstance(query.query, Detokenize) else "messages"


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "takes more memory than a request may have before its first token; make it shorter"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    text = " ".join(str(error).split())
    return f"cannot be processed: {type(error).__name__}: {text}"[:_MAX_REASON]
