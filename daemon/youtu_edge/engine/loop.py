"""The engine's step: schedule, run, emit. Knows no socket; messages go to a callback."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from youtu_edge.engine.detokenize import TextStream, Vocabulary
from youtu_edge.engine.prompt import Prompter
from youtu_edge.engine.runner import Runner, StepMemoryError
from youtu_edge.engine.sampler import SamplerState, sample
from youtu_edge.engine.scheduler import MIN_PREFILL, Scheduler, StepPlan
from youtu_edge.engine.sequence import Sequence
from youtu_edge.errors import ContextLengthError, InvalidRequestError, YoutuEdgeError
from youtu_edge.log import line
from youtu_edge.protocol import (
    Accepted,
    Delta,
    EngineStats,
    Failed,
    Finished,
    FinishReason,
    FromEngine,
    StepFrame,
    Submit,
    Working,
)

log = logging.getLogger("youtu_edge.engine")


class Send(Protocol):
    """Where messages to the front go."""

    def __call__(self, message: FromEngine) -> None:
        """Deliver one message, or raise when the front is gone."""


class Loop:
    """All sequences of one engine, from submission to their end."""

    def __init__(
        self,
        runner: Runner,
        scheduler: Scheduler,
        prompter: Prompter,
        vocabulary: Vocabulary,
        send: Send,
        *,
        max_stall_s: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._step_tokens = scheduler.step_tokens
        self._prompter = prompter
        self._vocabulary = vocabulary
        self._send = send
        self._max_stall_s = max_stall_s
        self._clock = clock
        self._eos = frozenset(runner.manifest.eos_token_ids)
        self._sequences: dict[str, Sequence] = {}
        self._prefill_rate = 0.0
        self._stats = EngineStats()
        self._checked = True
        self._announced: list[str] = []

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return self._scheduler.has_work

    def submit(self, request: Submit) -> None:
        """Tokenise and queue a request; answers `Accepted` or `Failed` at once."""
        self.announce([request.id])
        try:
            sequence = self._sequence(request)
        except YoutuEdgeError as error:
            self._send(Failed(request.id, error.code, error.message, error.param))
            return
        self._send(Accepted(request.id, sequence.num_prompt))
        reason = self._resume(sequence, request)
        self._sequences[sequence.id] = sequence
        self._scheduler.add(sequence)
        if reason:
            frame = StepFrame()
            self._end(sequence, reason, frame)
            self._send(frame)

    def cancel(self, request_id: str) -> None:
        """Stop a request; its pages are free for others when this returns."""
        if sequence := self._sequences.get(request_id):
            frame = StepFrame()
            self._end(sequence, "cancelled", frame)
            frame.stats = self.stats()
            self._send(frame)

    def step(self) -> None:
        """Run one step over everything that can run, and send what came out of it."""
        begun = self._clock()
        ran = self._runner.run_seconds
        plan = self._scheduler.schedule()
        if not plan.sequences:
            raise AssertionError("there is work, but no sequence fits into an empty cache")
        self.announce([sequence.id for sequence in plan.sequences])
        try:
            logits = self._run(plan)
        except StepMemoryError as error:
            self._shrink(plan, error)
            return
        self._scheduler.commit(plan)
        frame = StepFrame()
        self._emit(plan, logits, frame)
        self._account(plan, begun, self._runner.run_seconds - ran)
        frame.stats = self.stats()
        self._send(frame)
        self._checked = False

    def idle(self) -> None:
        """Called when there is nothing to do, once per busy period: verify our own books, try large steps again."""
        if not self._checked:
            self._scheduler.step_tokens = self._step_tokens
            self._scheduler.pool.check_integrity()
            self._checked = True

    def stats(self) -> EngineStats:
        """Counters and gauges of this moment."""
        stats, pool = self._stats, self._scheduler.pool
        stats.running = len(self._scheduler.running)
        stats.waiting = len(self._scheduler.waiting)
        stats.preemptions = self._scheduler.num_preemptions
        stats.pages_total, stats.pages_used, stats.pages_cached = pool.num_pages, pool.num_used, pool.num_cached
        return stats

    def _sequence(self, request: Submit) -> Sequence:
        if request.messages is not None:
            tokens = self._prompter.encode_chat(request.messages, request.template_kwargs)
        else:
            tokens = self._prompter.encode_text(request.prompt or "")
        if not tokens:
            raise InvalidRequestError("the prompt is empty", param="prompt")
        sequence = Sequence(
            id=request.id,
            tokens=tokens,
            num_prompt=len(tokens),
            num_prefix=len(tokens) - 1 if self._runner.manifest.prompt_end else 0,
            max_new_tokens=request.max_new_tokens,
            sampler=SamplerState(request.sampling, tokens),
            text=TextStream(self._vocabulary, request.stop),
            priority=request.priority,
            ignore_eos=request.ignore_eos,
            is_suspect=request.is_suspect,
        )
        self._check_fits(sequence, "prompt" if request.messages is None else "messages", request.reserve_tokens)
        return sequence

    def _check_fits(self, sequence: Sequence, param: str, reserve: int) -> None:
        """Refuse what can never be served; shorten the answer to what the context leaves."""
        context = self._runner.context_length
        pool = self._scheduler.pool
        most = min(context, pool.num_pages * pool.page_tokens)
        if sequence.num_prompt + reserve > most:
            why = f"the context of {context} tokens" if most == context else f"the cache of {most} tokens"
            raise ContextLengthError(
                f"the prompt has {sequence.num_prompt} tokens and does not fit into {why} with an answer", param=param
            )
        sequence.max_new_tokens = min(sequence.max_new_tokens, most - sequence.num_prompt)

    def _resume(self, sequence: Sequence, request: Submit) -> FinishReason | None:
        """Replay what a former engine already sent; the reason if that was already the end."""
        for token in request.sent_tokens:
            reason = self._accept(sequence, token)[1]
            if reason:
                return reason
        return None

    def announce(self, ids: list[str]) -> None:
        """Tell whose work begins now; most steps are for the same sequences as the one before and say nothing."""
        if ids != self._announced:
            self._announced = ids
            self._send(Working(ids))

    def _run(self, plan: StepPlan) -> npt.NDArray[np.float32]:
        for copy in plan.copies:
            self._runner.copy_rows(copy.source, copy.target, copy.rows)
        tokens: list[int] = []
        rows: list[int] = []
        for sequence, chunk in zip(plan.sequences, plan.chunks, strict=True):
            tokens += sequence.tokens[sequence.num_computed : sequence.num_computed + chunk]
            if chunk == sequence.num_pending:
                rows.append(len(tokens) - 1)
        # A chunk in the middle of a prompt needs no logits; the graph is not asked for zero rows all the same.
        return self._runner.run(
            tokens,
            plan.chunks,
            [s.num_computed for s in plan.sequences],
            [s.pages for s in plan.sequences],
            rows or [0],
            [s.num_prefix for s in plan.sequences],
        )

    def _shrink(self, plan: StepPlan, error: StepMemoryError) -> None:
        """Make the next step smaller: nothing of this one was committed, so its tokens simply run again."""
        scheduler = self._scheduler
        whole = len(plan.sequences) == 1 and plan.sequences[0].num_computed < plan.sequences[0].num_prefix
        if plan.num_tokens <= MIN_PREFILL or whole:
            raise error
        scheduler.step_tokens = max(MIN_PREFILL, plan.num_tokens // 2)
        log.warning(line("step_out_of_memory", tokens=plan.num_tokens, next=scheduler.step_tokens))

    def _emit(self, plan: StepPlan, logits: npt.NDArray[np.float32], frame: StepFrame) -> None:
        row = 0
        greedy = logits.argmax(axis=1)
        for sequence in plan.sequences:
            if sequence.num_pending:
                continue
            if sequence.sampler.is_greedy:
                token = int(greedy[row])
            else:
                token = sample(logits[row], sequence.sampler, len(sequence.tokens))
            row += 1
            text, reason = self._accept(sequence, token)
            sequence.is_suspect = False
            frame.deltas.append(Delta(sequence.id, [token], text))
            if reason:
                self._end(sequence, reason, frame)

    def _accept(self, sequence: Sequence, token: int) -> tuple[str, FinishReason | None]:
        """Append a token of the answer; its text and, if it is the last one, the reason."""
        sequence.tokens.append(token)
        sequence.sampler.observe(token)
        if token in self._eos and not sequence.ignore_eos:
            return "", "stop"
        text = sequence.text.push(token)
        if sequence.text.stopped:
            return text, "stop"
        if sequence.num_generated >= sequence.max_new_tokens:
            return text, "length"
        return text, None

    def _end(self, sequence: Sequence, reason: FinishReason, frame: StepFrame) -> None:
        self._scheduler.remove(sequence)
        del self._sequences[sequence.id]
        if reason != "cancelled" and (rest := sequence.text.finish()):
            frame.deltas.append(Delta(sequence.id, [], rest))
        cached = sequence.num_cached or 0
        frame.finished.append(Finished(sequence.id, reason, sequence.num_prompt, cached, sequence.num_generated))
        self._stats.cached_tokens += cached

    def _account(self, plan: StepPlan, begun: float, ran: float) -> None:
        stats, decoding = self._stats, sum(chunk == 1 for chunk in plan.chunks)
        prefill = plan.num_tokens - decoding
        stats.steps += 1
        stats.sequence_steps += len(plan.sequences)
        stats.decode_tokens += decoding
        stats.prefill_tokens += prefill
        stats.run_seconds += ran
        stats.step_seconds += self._clock() - begun
        if prefill >= 16:
            rate = plan.num_tokens / ran
            self._prefill_rate = 0.7 * self._prefill_rate + 0.3 * rate if self._prefill_rate else rate
            self._scheduler.prefill_limit = int(self._prefill_rate * self._max_stall_s)
