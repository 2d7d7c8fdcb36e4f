"""Builds an answer of Ollama's API from its pieces, and the lines of a streamed one."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.answers.answer_stream import Documents
from youtu_edge.front.answers.pieces import Ended, EndReason, Piece, Text, Thought, ToolArguments, ToolCallStart
from youtu_edge.front.dialects.ollama.response import (
    DoneReason,
    OllamaAnswer,
    OllamaAnsweredCall,
    OllamaAnsweredFunction,
    Said,
    ollama_error,
)

Form = Callable[[str, datetime, Said], OllamaAnswer]
"""Puts what was said into the form of a route: the model's name, the time, what was said."""

_REASONS: dict[EndReason, DoneReason] = {
    "stop": "stop",
    "tool_calls": "stop",
    "length": "length",
    "cancelled": "cancelled",
}


class AnswerWriter:
    """The state of one answer; `answer` is the whole of it after its last piece."""

    def __init__(self, model: str, form: Form, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """It measures from now on. `model` is its name as the request has it."""
        self._model = model
        self._form = form
        self._clock_ns = clock_ns
        self._begun_at = clock_ns()
        self._first_at: int | None = None
        self._whole = Said(calls=[])
        self._call: ToolCallStart | None = None
        self._arguments = ""
        self.answer: OllamaAnswer | None = None

    def begin(self) -> Documents:
        """Nothing precedes the first piece."""
        return []

    def write(self, index: int, piece: Piece) -> Documents:
        """More of the answer, or its end. A call is written as a whole."""
        if self._first_at is None:
            self._first_at = self._clock_ns()
        if isinstance(piece, ToolArguments):
            self._arguments += piece.text
            return []
        said = self._finished_call()
        if isinstance(piece, ToolCallStart):
            self._call, self._arguments = piece, ""
        elif isinstance(piece, Thought):
            said.append(Said(thought=piece.text))
        elif isinstance(piece, Text) and piece.text:
            said.append(Said(text=piece.text))
        lines = [self._add(more) for more in said]
        if isinstance(piece, Ended):
            now = self._clock_ns()
            self.answer = self._last(self._whole, piece, now)
            lines.append(self._last(Said(), piece, now))
        return lines

    async def end(self) -> Documents:
        """Nothing follows the last piece."""
        return []

    def fail(self, error: YoutuEdgeError) -> msgspec.Struct:
        """The error as a line."""
        return ollama_error(error)

    def _finished_call(self) -> list[Said]:
        """The call that has ended; none if there was no call, or if the answer was cut off inside it."""
        call, self._call = self._call, None
        if call is None or (arguments := _object(self._arguments)) is None:
            return []
        return [Said(calls=[OllamaAnsweredCall(call.id, OllamaAnsweredFunction(call.index, call.name, arguments))])]

    def _add(self, said: Said) -> OllamaAnswer:
        self._whole.text += said.text
        self._whole.thought += said.thought
        self._whole.calls += said.calls
        return self._document(said)

    def _document(self, said: Said) -> OllamaAnswer:
        return self._form(self._model, datetime.now(UTC), said)

    def _last(self, said: Said, ended: Ended, now: int) -> OllamaAnswer:
        first_at = self._first_at or now
        document = self._document(said)
        document.done, document.done_reason = True, _REASONS[ended.reason]
        document.total_duration, document.load_duration = now - self._begun_at, 0
        document.prompt_eval_count = ended.finished.prompt_tokens
        document.prompt_eval_duration = first_at - self._begun_at
        document.eval_count, document.eval_duration = ended.finished.completion_tokens, now - first_at
        return document


def loaded(model: str, form: Form) -> OllamaAnswer:
    """The answer to a request without a prompt: the model is loaded."""
    document = form(model, datetime.now(UTC), Said())
    document.done, document.done_reason = True, "load"
    return document


def _object(text: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
