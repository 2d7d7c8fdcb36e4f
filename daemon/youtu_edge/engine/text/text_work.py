"""Prepares the text of a request: renders and tokenises it, and compiles its grammar as a trial.

Templates, tokenizer and grammar compiler process untrusted input. An exception fails that request only; a crash ends a
worker, not the engine (text_workers.py).
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

    tokens: empty if there are more than can fit. thought: whether the prompt ends inside <think>, see Prompter.thought.
    sources: grammars that passed the trial.
    """

    num_tokens: int
    tokens: list[int]
    thought: Literal["open", "closed", "possible"]
    sources: GrammarSources = GrammarSources()


class TextWork:
    """Prepares requests and answers queries for one model."""

    def __init__(self, tokenizer: Any, prompter: Prompter, vocab_size: int, *, is_bounded: bool) -> None:
        """`is_bounded`: memory for grammars is limited; exceeding the limit ends this process."""
        self._tokenizer = tokenizer
        self._prompter = prompter
        self._trial = GrammarTrial(vocab_size, is_bounded=is_bounded)
        self._answerer = Answerer(tokenizer, prompter, vocab_size)
        self._bound: TokenBound | None = None
        self._max_tokens = sys.maxsize

    def learn(self) -> None:
        """Build the tables that workers share and the engine does not need."""
        self._bound = TokenBound(self._tokenizer)
        self._trial.load()

    def limit(self, max_tokens: int) -> None:
        """Reject texts that can never fit into `max_tokens` from now on. Call `learn` first."""
        self._max_tokens = max_tokens
        if self._bound is not None:
            self._prompter.limit = TextLimit(self._bound, max_tokens)

    def do(
        self, text: IncomingText, compiled: Collection[bytes], begin: Callable[[str], None] = lambda _: None
    ) -> Prepared | Reply | Failed:
        """Prepare a request or answer a query; never raises.

        compiled: digests of grammars that need no trial. begin: called with the name of the field to be processed next.
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
        form = self._prompter.tool_format
        return guarded(
            request.id, field, lambda: Prepared(len(tokens), tokens, thought, self._trial.sources(request, compiled, form))
        )

    def _tokens(self, request: Submit) -> list[int]:
        if request.messages is not None:
            return self._prompter.encode_chat(request.messages, request.template_kwargs, request.tools)
        if request.prompt_tokens is not None:
            return list(request.prompt_tokens)
        if request.suffix:
            return self._prompter.encode_infill(request.prompt or "", request.suffix)
        return self._prompter.encode_text(request.prompt or "")


def guarded(request_id: str, field: str, work: Callable[[], Result]) -> Result | Failed:
    """The result of `work`, or its exception as a `Failed` that names the request's `field`."""
    try:
        return work()
    except YoutuEdgeError as error:
        param = error.param or (field if isinstance(error, RequestError) else None)
        return Failed(request_id, error.code, error.message, param)
    except BaseException as error:  # a Rust panic is a BaseException
        return Failed(request_id, InvalidRequestError.code, f"{field}: {_reason(error)}", field)


def _field(query: Query) -> str:
    if isinstance(query.query, Tokenize):
        return "content"
    return "tokens" if isinstance(query.query, Detokenize) else "messages"


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "takes more memory than a request may use before its first token; make it shorter"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    text = " ".join(str(error).split())
    return f"cannot be processed: {type(error).__name__}: {text}"[:_MAX_REASON]
