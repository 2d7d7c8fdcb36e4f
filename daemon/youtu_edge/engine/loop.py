"""The engine's step: schedule, run, emit. Messages to the front go through the callback `send`."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from youtu_edge.engine.arrivals import Arrivals
from youtu_edge.engine.incoming import IncomingQuery, IncomingSubmit, incoming
from youtu_edge.engine.logprobs import LogprobReporter
from youtu_edge.engine.model.runner import Runner, StepMemoryError
from youtu_edge.engine.next_token import NextToken
from youtu_edge.engine.scheduler import MIN_PREFILL, Scheduler, StepPlan
from youtu_edge.engine.sequence import Sequence
from youtu_edge.engine.text.text_work import Prepared, guarded
from youtu_edge.engine.text.text_worker import Outcome
from youtu_edge.engine.text.text_workers import Texts
from youtu_edge.errors import InternalError, UnavailableError, YoutuEdgeError
from youtu_edge.log import line
from youtu_edge.protocol.from_engine import (
    Accepted,
    Delta,
    EngineStats,
    Failed,
    Finished,
    FinishReason,
    FromEngine,
    StepFrame,
    Working,
)
from youtu_edge.protocol.to_engine import Submit

log = logging.getLogger("youtu_edge.engine")


class Send(Protocol):
    """Sends messages to the front."""

    def __call__(self, message: FromEngine | msgspec.Raw) -> None:
        """Send one message. Raises when the front is gone."""


class Loop:
    """All sequences of one engine, from submission to completion."""

    def __init__(
        self,
        runner: Runner,
        scheduler: Scheduler,
        arrivals: Arrivals,
        texts: Texts,
        logprobs: LogprobReporter,
        send: Send,
        *,
        max_stall_s: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._step_tokens = scheduler.step_tokens
        self._max_sequences = scheduler.max_sequences
        self._arrivals = arrivals
        self._texts = texts
        self._queries: list[Future[Outcome]] = []
        self._send = send
        self._max_stall_s = max_stall_s
        self._clock = clock
        self._vocab_size = arrivals.vocab_size
        self._sequences: dict[str, Sequence] = {}
        self._prefill_rate = 0.0
        self._stats = EngineStats()
        self._next = NextToken(frozenset(runner.manifest.eos_token_ids), logprobs, self._stats, clock)
        self._checked = True
        self._announced: list[str] = []

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return self._scheduler.has_work

    @property
    def is_compiling(self) -> bool:
        """Whether a request or query waits for its text or grammar; `admit` queues or answers it when that is ready."""
        return len(self._arrivals) > 0 or bool(self._queries)

    def submit(self, request: Submit | IncomingSubmit) -> None:
        """Accept a request; `admit` answers it with `Accepted` or `Failed` once its text and grammar are prepared."""
        self._arrivals.add(incoming(request) if isinstance(request, Submit) else request)
        self.admit()

    def refuse(self, message: IncomingSubmit | IncomingQuery, reason: str) -> None:
        """Reject a request or query for want of memory; `reason` is the message that the client gets."""
        self._send(Failed(message.id, UnavailableError.code, reason))

    def forget_grammars(self) -> None:
        """Drop all compiled grammars except those of running answers."""
        self._arrivals.forget_grammars()

    def query(self, query: IncomingQuery) -> None:
        """Accept a tokenizer query; `admit` answers it with `Reply` or `Failed`."""
        self._queries.append(self._texts.submit(query))
        self.admit()

    def admit(self) -> None:
        """Queue every request that is ready to run, and answer queries."""
        for done in [query for query in self._queries if query.done()]:
            self._queries.remove(done)
            answer = done.result()
            assert not isinstance(answer, Prepared)
            self._send(answer)
        for arrival in self._arrivals.take():
            request, sequence = arrival.request, arrival.sequence
            if arrival.failure is not None:
                self._send(arrival.failure)
                continue
            assert sequence is not None
            resumed = guarded(request.id, request.field, functools.partial(self._resume, sequence, request))
            if isinstance(resumed, Failed):
                self._send(resumed)
                continue
            self._send(Accepted(request.id, sequence.num_prompt, arrival.in_thought, arrival.tool_format.name))
            self._sequences[sequence.id] = sequence
            self._scheduler.add(sequence)
            if resumed:
                frame = StepFrame()
                self._end(sequence, resumed, frame)
                self._send(frame)
        if not self.has_work:
            self.announce(self._arrivals.ids)

    def cancel(self, request_id: str) -> None:
        """Cancel a request; its pages are released when this returns."""
        if arrival := self._arrivals.drop(request_id):
            self._send(Accepted(request_id, arrival.num_prompt, arrival.in_thought))
            self._send(StepFrame(finished=[Finished(request_id, "cancelled", arrival.num_prompt, 0, 0)]))
        elif sequence := self._sequences.get(request_id):
            frame = StepFrame()
            self._end(sequence, "cancelled", frame)
            frame.stats = self.stats()
            self._send(frame)

    def step(self) -> None:
        """Run one step over all sequences that can run, and send its results."""
        begun = self._clock()
        ran = self._runner.run_seconds
        plan = self._scheduler.schedule()
        if not plan.sequences:
            raise AssertionError("sequences are waiting, but none fits into the empty cache")
        self.announce([*(sequence.id for sequence in plan.sequences), *self._arrivals.ids])
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

    def narrow(self, max_sequences: int) -> None:
        """Cap the number of running sequences, at most at the configured one; those already running continue."""
        self._scheduler.max_sequences = min(max_sequences, self._max_sequences)

    def idle(self) -> None:
        """Called when there is no work. Once per busy period, checks the page pool and restores the full step size."""
        if not self._checked:
            self._scheduler.step_tokens = self._step_tokens
            self._scheduler.pool.check_integrity()
            self._checked = True

    def stats(self) -> EngineStats:
        """Current counters and gauges."""
        stats, pool = self._stats, self._scheduler.pool
        stats.running = len(self._scheduler.running)
        stats.waiting = len(self._scheduler.waiting)
        stats.preemptions = self._scheduler.num_preemptions
        stats.pages_touched = pool.num_touched
        stats.pages_total, stats.pages_used, stats.pages_cached = pool.num_pages, pool.num_used, pool.num_cached
        return stats

    def _resume(self, sequence: Sequence, request: IncomingSubmit) -> FinishReason | None:
        """Replay the tokens that a previous engine sent; the finish reason if they already complete the answer."""
        for token in request.sent_tokens:
            reason = self._next.accept(sequence, token)[1]
            if reason:
                return reason
        return None

    def announce(self, ids: list[str]) -> None:
        """Send `Working` with the requests worked on from now; nothing if they are the same as in the step before."""
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
        # A chunk in the middle of a prompt needs no logits, but the graph is always asked for at least one row.
        logits = self._runner.run(
            tokens,
            plan.chunks,
            [s.num_computed for s in plan.sequences],
            [s.pages for s in plan.sequences],
            rows or [0],
            [s.num_prefix for s in plan.sequences],
        )
        return logits[:, : self._vocab_size]  # the embedding table may be padded beyond the last token

    def _shrink(self, plan: StepPlan, error: StepMemoryError) -> None:
        """Make the next step smaller. Nothing of this step was committed, so its tokens run again."""
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
            row += 1
            try:
                token, logprobs = self._next.choose(sequence, logits[row - 1], int(greedy[row - 1]))
                text, reason = self._next.accept(sequence, token)
            except Exception as error:  # fails this sequence only (its grammar or its logits)
                self._forget(sequence)
                if isinstance(error, InternalError):  # cached rows may contain NaN too; no other sequence may reuse them
                    self._scheduler.pool.drop_cached()
                self._send(_failed(sequence.id, error))
                continue
            sequence.probation = max(0, sequence.probation - 1)
            is_end = reason == "stop" and self._next.is_end(token)
            frame.deltas.append(Delta(sequence.id, [token], text, [] if is_end else logprobs))
            if reason:
                self._end(sequence, reason, frame)

    def _forget(self, sequence: Sequence) -> None:
        self._scheduler.remove(sequence)
        del self._sequences[sequence.id]

    def _end(self, sequence: Sequence, reason: FinishReason, frame: StepFrame) -> None:
        self._forget(sequence)
        if reason != "cancelled" and (rest := sequence.text.finish()):
            frame.deltas.append(Delta(sequence.id, [], rest))
        cached, stop_text = sequence.num_cached or 0, sequence.text.stop_text
        frame.finished.append(Finished(sequence.id, reason, sequence.num_prompt, cached, sequence.num_generated, stop_text))
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


def _failed(request_id: str, error: Exception) -> Failed:
    """The message to the front about a request that failed in the middle of its answer."""
    if isinstance(error, YoutuEdgeError):
        return Failed(request_id, error.code, error.message, error.param)
    log.error(line("request_fault", id=request_id), exc_info=error)
    reason = f"sampling the next token failed ({type(error).__name__}); see the daemon log"
    return Failed(request_id, InternalError.code, reason)
