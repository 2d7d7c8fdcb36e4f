"""Requests on their way into the loop: tokenised at once, their grammars compiled beside the steps.

A grammar takes a millisecond, a large schema a hundred, and the first one builds the token table; steps go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from youtu_edge.engine.answer_grammar import AnswerGrammar
from youtu_edge.engine.detokenize import ProseGate, TextStream, Vocabulary
from youtu_edge.engine.grammar import GrammarCompiler
from youtu_edge.engine.prompt import Prompter
from youtu_edge.engine.sampler import SamplerState
from youtu_edge.engine.sequence import Sequence
from youtu_edge.errors import ContextLengthError, InvalidRequestError, YoutuEdgeError
from youtu_edge.protocol import PROBATION_TOKENS, Submit


class Arrival:
    """One request; `sequence` has its grammar once `is_ready`."""

    def __init__(self, request: Submit, sequence: Sequence, *, in_thought: bool) -> None:
        self.request = request
        self.sequence = sequence
        self.in_thought = in_thought
        self.compiling: Future[AnswerGrammar] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether nothing is left to do, or it went wrong."""
        return self.compiling is None or self.compiling.done()


class Arrivals:
    """Turns requests into sequences.

    context_length, cache_tokens: what prompt and answer have to fit into. is_bidirectional: prompts but for their last
    token are seen in both directions.
    """

    def __init__(
        self,
        prompter: Prompter,
        vocabulary: Vocabulary,
        grammars: GrammarCompiler,
        *,
        vocab_size: int,
        context_length: int,
        cache_tokens: int,
        is_bidirectional: bool,
    ) -> None:
        self._prompter = prompter
        self._vocabulary = vocabulary
        self._grammars = grammars
        self._vocab_size = vocab_size
        self._context_length = context_length
        self._cache_tokens = cache_tokens
        self._is_bidirectional = is_bidirectional
        self._threads = ThreadPoolExecutor(1, "grammar")
        self._waiting: dict[str, Arrival] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def ids(self) -> list[str]:
        """The requests whose grammars are being compiled."""
        return list(self._waiting)

    def add(self, request: Submit) -> None:
        """Tokenise a request. Raises what is wrong with it."""
        is_chat = request.messages is not None
        tokens = self._tokens(request)
        thought = self._prompter.thought(tokens) if is_chat else "closed"
        in_thought = thought == "open"
        arrival = Arrival(request, self._sequence(request, tokens, in_thought), in_thought=in_thought)
        if request.grammar is not None or request.tools:
            arrival.compiling = self._threads.submit(
                self._grammars.compile, request, in_thought=arrival.in_thought, may_think=thought == "possible"
            )
        self._waiting[request.id] = arrival

    def drop(self, request_id: str) -> Arrival | None:
        """Forget a request that has not been taken yet."""
        return self._waiting.pop(request_id, None)

    def take(self) -> Iterator[tuple[Arrival, YoutuEdgeError | None]]:
        """Everything that is ready, in the order of arrival, with what is wrong with its grammar."""
        for arrival in [arrival for arrival in self._waiting.values() if arrival.is_ready]:
            del self._waiting[arrival.request.id]
            error = None
            if arrival.compiling is not None:
                try:
                    arrival.sequence.grammar = arrival.compiling.result()
                except YoutuEdgeError as found:
                    error = found
            yield arrival, error

    def _tokens(self, request: Submit) -> list[int]:
        if request.messages is not None:
            tokens = self._prompter.encode_chat(request.messages, request.template_kwargs, request.tools)
        else:
            tokens = self._prompter.encode_text(request.prompt or "")
        if not tokens:
            raise InvalidRequestError("the prompt is empty", param="prompt")
        return tokens

    def _sequence(self, request: Submit, tokens: list[int], in_thought: bool) -> Sequence:
        for token in request.sampling.logit_bias:
            if not 0 <= token < self._vocab_size:
                where = f"logit_bias.{token}"
                raise InvalidRequestError(f"{where}: this model has {self._vocab_size} tokens", param=where)
        return Sequence(
            id=request.id,
            tokens=tokens,
            num_prompt=len(tokens),
            num_prefix=len(tokens) - 1 if self._is_bidirectional else 0,
            max_new_tokens=min(request.max_new_tokens, self._room(request, len(tokens))),
            sampler=SamplerState(request.sampling, tokens),
            text=self._text(request, in_thought),
            priority=request.priority,
            ignore_eos=request.ignore_eos,
            probation=PROBATION_TOKENS if request.is_suspect else 0,
        )

    def _text(self, request: Submit, in_thought: bool) -> TextStream:
        if not request.is_default_stop:
            return TextStream(self._vocabulary, request.stop)
        stop = [] if request.grammar is not None or request.tools else request.stop
        gate = ProseGate(in_thought=in_thought)
        return TextStream(self._vocabulary, stop, gate=gate, keeps_stop=request.keeps_stop)

    def _room(self, request: Submit, num_prompt: int) -> int:
        """Tokens that are left for the answer. Raises ContextLengthError for what can never be served."""
        most = min(self._context_length, self._cache_tokens)
        if num_prompt + request.reserve_tokens > most:
            why = f"the context of {most} tokens" if most == self._context_length else f"the cache of {most} tokens"
            raise ContextLengthError(
                f"the prompt has {num_prompt} tokens and does not fit into {why} with an answer",
                param="prompt" if request.messages is None else "messages",
            )
        return most - num_prompt
