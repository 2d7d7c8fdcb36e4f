"""Requests before they enter the loop: rendering, tokenising and grammar compilation run concurrently with the steps.

A text takes 1 ms, a long one 1 s; a grammar takes 1 ms, a large schema 100 ms. The first grammar builds the token table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from youtu_edge.engine.grammar.answer_grammar import AnswerGrammar
from youtu_edge.engine.grammar.grammar import GrammarCompiler
from youtu_edge.engine.incoming import IncomingSubmit
from youtu_edge.engine.sampler import SamplerState
from youtu_edge.engine.sequence import Sequence
from youtu_edge.engine.text.detokenize import ProseGate, TextStream, Vocabulary
from youtu_edge.engine.text.text_work import Prepared, guarded
from youtu_edge.engine.text.text_worker import Outcome
from youtu_edge.engine.text.text_workers import Texts
from youtu_edge.protocol.from_engine import Failed
from youtu_edge.protocol.to_engine import PROBATION_TOKENS
from youtu_edge.request_errors import ContextLengthError, InvalidRequestError
from youtu_edge.tool_formats import HERMES, format_named


class Arrival:
    """One request. Its text is prepared, which gives `sequence`; then its grammar is compiled. Either may set `failure`."""

    def __init__(self, request: IncomingSubmit, preparing: Future[Outcome]) -> None:
        self.request = request
        self.preparing: Future[Outcome] | None = preparing
        self.compiling: Future[AnswerGrammar | Failed] | None = None
        self.sequence: Sequence | None = None
        self.in_thought = False
        self.tool_format = HERMES
        self.failure: Failed | None = None

    @property
    def num_prompt(self) -> int:
        """Tokens of the prompt; 0 until the text is tokenised."""
        return self.sequence.num_prompt if self.sequence else 0

    @property
    def is_ready(self) -> bool:
        """Whether preparation and compilation are done, or one of them failed."""
        return self.failure is not None or (self.preparing is None and self.compiling is None)


class Arrivals:
    """Turns requests into sequences.

    context_length, cache_tokens: upper bounds of prompt plus answer. is_bidirectional: attention over the prompt, except
    its last token, is bidirectional. on_done is called from another thread when `take` has something to do.
    """

    def __init__(
        self,
        texts: Texts,
        vocabulary: Vocabulary,
        grammars: GrammarCompiler,
        *,
        vocab_size: int,
        context_length: int,
        cache_tokens: int,
        is_bidirectional: bool,
        on_done: Callable[[], None],
    ) -> None:
        self._texts = texts
        self._vocabulary = vocabulary
        self._grammars = grammars
        self._vocab_size = vocab_size
        self._context_length = context_length
        self._cache_tokens = cache_tokens
        self._is_bidirectional = is_bidirectional
        self._on_done = on_done
        self._threads = ThreadPoolExecutor(1, "grammar")
        self._waiting: dict[str, Arrival] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def vocab_size(self) -> int:
        """Valid token ids are below this."""
        return self._vocab_size

    @property
    def ids(self) -> list[str]:
        """The requests whose grammars are being compiled in this process."""
        return [arrival.request.id for arrival in self._waiting.values() if arrival.compiling is not None]

    def add(self, request: IncomingSubmit) -> None:
        """Submit the text of a request for preparation."""
        self._waiting[request.id] = Arrival(request, self._texts.submit(request, self._grammars.compiled))
        request.body = b""

    def forget_grammars(self) -> None:
        """Drop all cached compiled grammars."""
        self._grammars.forget()

    def drop(self, request_id: str) -> Arrival | None:
        """Remove a request that `take` has not returned yet."""
        arrival = self._waiting.pop(request_id, None)
        if arrival and arrival.preparing:
            arrival.preparing.cancel()
        return arrival

    def take(self) -> Iterator[Arrival]:
        """Everything that is ready, in the order of arrival. Raises ForkServerGoneError."""
        for arrival in list(self._waiting.values()):
            if arrival.preparing and arrival.preparing.done():
                self._prepared(arrival, arrival.preparing.result())
            if arrival.compiling and arrival.compiling.done():
                self._compiled(arrival, arrival.compiling.result())
            if arrival.is_ready:
                del self._waiting[arrival.request.id]
                yield arrival

    def _prepared(self, arrival: Arrival, outcome: Outcome) -> None:
        """The text is prepared: make the sequence and start compiling its grammar."""
        arrival.preparing, request = None, arrival.request
        if not isinstance(outcome, Prepared):
            assert isinstance(outcome, Failed), outcome
            arrival.failure = outcome
            return
        in_thought = arrival.in_thought = outcome.thought == "open"
        arrival.tool_format = format_named(outcome.sources.tool_format)
        made = guarded(request.id, request.field, lambda: self._sequence(request, outcome))
        if isinstance(made, Failed):
            arrival.failure = made
            return
        arrival.sequence = made
        sources = outcome.sources
        if sources.answer is not None or sources.call is not None:
            may_think, parallel = outcome.thought == "possible", request.parallel_tool_calls
            arrival.compiling = self._threads.submit(
                guarded,
                request.id,
                sources.param,
                lambda: self._grammars.compile(
                    sources, in_thought=in_thought, may_think=may_think, parallel_calls=parallel
                ),
            )
            arrival.compiling.add_done_callback(lambda _: self._on_done())

    def _compiled(self, arrival: Arrival, outcome: AnswerGrammar | Failed) -> None:
        arrival.compiling = None
        if isinstance(outcome, Failed):
            arrival.failure = outcome
        else:
            assert arrival.sequence is not None
            arrival.sequence.grammar = outcome

    def _check(self, tokens: list[int]) -> None:
        """Raise InvalidRequestError for a client's token id that this model does not have."""
        for index, token in enumerate(tokens):
            if not 0 <= token < self._vocab_size:
                where = f"prompt[{index}]"
                problem = f"{token} is not one of the {self._vocab_size} tokens of this model"
                raise InvalidRequestError(f"{where}: {problem}", param=where)

    def _sequence(self, request: IncomingSubmit, prepared: Prepared) -> Sequence:
        room, tokens = self._room(request, prepared.num_tokens), prepared.tokens
        if request.prompt_tokens:
            self._check(tokens)
        if max(tokens) >= self._vocab_size:  # the package's tokenizer has more tokens than the embedding table
            raise InvalidRequestError(f"the prompt contains token {max(tokens)}; this model has {self._vocab_size}")
        for token in request.sampling.logit_bias:
            if not 0 <= token < self._vocab_size:
                where = f"logit_bias.{token}"
                raise InvalidRequestError(f"{where}: this model has {self._vocab_size} tokens", param=where)
        return Sequence(
            id=request.id,
            tokens=tokens,
            num_prompt=len(tokens),
            num_prefix=len(tokens) - 1 if self._is_bidirectional else 0,
            max_new_tokens=min(request.max_new_tokens, room),
            sampler=SamplerState(request.sampling, tokens),
            text=self._text(request, prepared),
            priority=request.priority,
            ignore_eos=request.ignore_eos,
            probation=PROBATION_TOKENS if request.is_suspect else 0,
        )

    def _text(self, request: IncomingSubmit, prepared: Prepared) -> TextStream:
        # A chat answer is a separate text; a completion continues its prompt; a grammar fixes an answer's first character.
        goes_on = request.is_bound or not request.is_chat
        if request.is_bound:  # the grammar decides where it ends; a stop string would leave it invalid
            return TextStream(self._vocabulary, is_continuation=goes_on)
        if not request.is_default_stop:
            begin = format_named(prepared.sources.tool_format).begin if request.tools else ""
            return TextStream(self._vocabulary, request.stop, is_continuation=goes_on, call_begin=begin)
        stop = [] if request.tools else request.stop
        gate = ProseGate(in_thought=prepared.thought == "open")
        return TextStream(self._vocabulary, stop, gate=gate, keeps_stop=request.keeps_stop, is_continuation=goes_on)

    def _room(self, request: IncomingSubmit, num_prompt: int) -> int:
        """Tokens left for the answer. Raises ContextLengthError if the prompt can never fit."""
        most = min(self._context_length, self._cache_tokens)
        if num_prompt + request.reserve_tokens > most:
            why = f"the context of {most} tokens" if most == self._context_length else f"the cache of {most} tokens"
            raise ContextLengthError(
                f"the prompt has {num_prompt} tokens and does not fit into {why} with an answer",
                param=request.field,
            )
        return most - num_prompt
