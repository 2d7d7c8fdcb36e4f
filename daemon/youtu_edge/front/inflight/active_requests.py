"""The authoritative state of every open request: its parameters, the tokens already sent, and the queue of its events.

A request ends exactly once; later messages about it are dropped.

    open ──Accepted──> streaming ──Finished/Failed──> ended
      └──────────────────Failed────────────────────────^     (abandon: the client left; no event)
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.front.inflight.work import Departed, Work, digest_of
from youtu_edge.protocol.from_engine import Accepted, Delta, Failed, Finished, FromEngine, StepFrame
from youtu_edge.request_errors import ContextLengthError
from youtu_edge.tool_formats import HERMES

Event = Accepted | Delta | Finished | Failed


class ActiveRequest:
    """One accepted request. `events` is read by its HTTP handler; it is unbounded, but never longer than the answer."""

    def __init__(self, submit: GenerationRequest, now: float, digest: bytes) -> None:
        self.submit = submit
        self.digest = digest
        """Of the request as received, before `shorten` drops turns."""
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.opened_at = now
        self.wants_all = False
        """Queue deltas without text, too: the journal must have every token."""
        self.created = int(time.time())
        """Unix time in seconds."""
        self.first_text_at: float | None = None
        self.ended_at: float | None = None
        self.accepted = False
        self.in_thought = False
        self.tool_format = HERMES.name
        self.stop_text: str | None = None
        self.is_held = False
        """Not submitted to an engine yet: the response cache is looked up first."""
        self.cache: Literal["HIT", "MISS", ""] = ""
        """Result of the lookup in the response cache; empty without one."""
        self.cache_key: bytes | None = None
        """Key under which the answer is cached; None: it is not."""
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.user: str | None = None
        """OpenAI's `user`, for the log."""
        self.client = ""
        """Address of the client, for the log; empty for a request from before this start."""
        self.key: str | None = None
        """Name of the API key that it came with."""
        self.resumes = 0
        self.outcome = ""
        """A finish reason or "failed"; "cancelled" when the client left."""
        self.is_cancelled = False
        """Its cancellation was requested; no other engine may resume it."""
        self.shorten: Callable[[], bool] | None = None
        """Called when the prompt does not fit: drops turns from `submit`, and returns whether to try again."""
        self.deadline: asyncio.TimerHandle | None = None
        self.failure = ""
        """The error's code when it failed."""

    @property
    def completion_tokens(self) -> int:
        """Tokens produced for this request so far, by all engines."""
        return len(self.submit.sent_tokens)

    @property
    def work(self) -> Work:
        """What an engine has to do with it."""
        return Work(self.digest, self.completion_tokens)


class ActiveRequests:
    """All unfinished requests, oldest first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._active: dict[str, ActiveRequest] = {}
        self._departed = Departed()
        self._clock = clock
        self.on_end: list[Callable[[ActiveRequest], None]] = []
        """Called once for each request, after its last event was queued."""

    def __len__(self) -> int:
        return len(self._active)

    def __iter__(self) -> Iterator[ActiveRequest]:
        return iter(list(self._active.values()))

    def open(self, submit: GenerationRequest, digest: bytes | None = None) -> ActiveRequest:
        """Add an admitted request; `digest` if it was computed before."""
        assert submit.id not in self._active, f"request id {submit.id} is in use"
        # A private copy: sent_tokens and sent_text grow in it, so that it can be submitted again as it is.
        own = msgspec.structs.replace(submit, sent_tokens=list(submit.sent_tokens))
        active = self._active[submit.id] = ActiveRequest(own, self._clock(), digest or digest_of(own))
        return active

    def find(self, request_id: str) -> list[ActiveRequest]:
        """The open requests of one HTTP request; further answers have its id and a number (`ID-1`)."""
        numbered = re.compile(rf"{re.escape(request_id)}(-[0-9]+)?")
        return [active for active in self if numbered.fullmatch(active.submit.id)]

    def apply(self, message: FromEngine) -> ActiveRequest | None:
        """Apply the engine's message about requests; other messages are ignored.

        Returns the request that was shortened because its prompt does not fit: it has to be submitted again.
        """
        if isinstance(message, Failed):
            shortened = self._failed(message)
            self._departed.forget(message.id)
            return shortened
        if isinstance(message, StepFrame):
            for delta in message.deltas:
                self._delta(delta)
            for finished in message.finished:
                self._finished(finished)
                self._departed.forget(finished.id)
        elif isinstance(message, Accepted):
            self._accepted(message)
        return None

    def end_cancelled(self) -> None:
        """End the cancelled requests as an engine would; called when none is running."""
        for active in self:
            if active.is_cancelled:
                submit = active.submit
                self._accepted(Accepted(submit.id, 0))
                counts = active.prompt_tokens, active.cached_tokens, active.completion_tokens
                self._finished(Finished(submit.id, "cancelled", *counts))

    def abandon(self, active: ActiveRequest) -> bool:
        """The client has left; True if the request was open, and must be cancelled in the engine."""
        if self._end(active.submit.id, "cancelled") is None:
            return False
        for ended in self.on_end:
            ended(active)
        return True

    def works(self) -> dict[str, Work]:
        """Everything that is unfinished, by id."""
        return {name: active.work for name, active in self._active.items()}

    def work_of(self, request_id: str) -> Work | None:
        """What the running engine may be working on under that id, even if the client has left."""
        active = self._active.get(request_id)
        return active.work if active else self._departed.find(request_id)

    def engine_starts(self) -> None:
        """Forget departed work: the engine that may have been working on it is gone."""
        self._departed.clear()

    def fail_same(self, digest: bytes, code: str, message: str) -> None:
        """Fail every request with this digest."""
        for active in self:
            if active.digest == digest:
                self.fail(active.submit.id, code, message)

    def fail(self, request_id: str, code: str, message: str) -> None:
        """Fail one request; an unknown id is ignored, it has just ended."""
        self._failed(Failed(id=request_id, code=code, message=message))

    def fail_all(self, code: str, message: str) -> None:
        """Fail every open request."""
        for active in self:
            self.fail(active.submit.id, code, message)

    def _accepted(self, accepted: Accepted) -> None:
        active = self._active.get(accepted.id)
        if active is None or active.accepted:  # gone, or accepted before by an engine that died
            return
        active.accepted = True
        active.prompt_tokens = accepted.prompt_tokens
        active.in_thought, active.tool_format = accepted.in_thought, accepted.tool_format
        active.events.put_nowait(accepted)

    def _delta(self, delta: Delta) -> None:
        active = self._active.get(delta.id)
        if active is None:
            return
        active.submit.sent_tokens.extend(delta.tokens)
        if not delta.text and not delta.logprobs and not active.wants_all:
            return
        active.submit.sent_text += delta.text
        if delta.text and active.first_text_at is None:
            active.first_text_at = self._clock()
        active.events.put_nowait(delta)

    def _finished(self, finished: Finished) -> None:
        active = self._end(finished.id, finished.reason)
        if active is None:
            return
        active.prompt_tokens = finished.prompt_tokens
        active.cached_tokens = finished.cached_tokens
        active.stop_text = finished.stop_text
        active.events.put_nowait(finished)
        for ended in self.on_end:
            ended(active)

    def _failed(self, failed: Failed) -> ActiveRequest | None:
        active = self._active.get(failed.id)
        if active is None:
            return None
        if failed.code == ContextLengthError.code and active.shorten is not None and active.shorten():
            return active
        self._end(failed.id, "failed")
        active.failure = failed.code
        active.events.put_nowait(failed)
        for ended in self.on_end:
            ended(active)
        return None

    def _end(self, request_id: str, outcome: str) -> ActiveRequest | None:
        active = self._active.pop(request_id, None)
        if active is not None:
            self._departed.note(request_id, active.work)
            active.outcome = outcome
            active.ended_at = self._clock()
        return active
