"""A response of OpenAI's Responses, and the events of a streamed one."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.dialects.common.logprobs import ContentLogprob
from youtu_edge.front.dialects.responses.items import OutputItem, OutputText, ReasoningText
from youtu_edge.front.dialects.responses.request import ReasoningOptions, ResponsesBody, TextOptions
from youtu_edge.front.dialects.responses.tools import FunctionChoice, ResponseTool
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.from_engine import Finished

ResponseStatus = Literal["in_progress", "completed", "incomplete", "cancelled", "failed"]


class Failure(msgspec.Struct):
    """Why a response failed; `code` is one of docs/api.md."""

    code: str
    message: str


class IncompleteDetails(msgspec.Struct):
    """Why a response ended early."""

    reason: Literal["max_output_tokens"]


class InputTokensDetails(msgspec.Struct):
    """Tokens of the input that the prefix cache supplied."""

    cached_tokens: int


class Usage(msgspec.Struct):
    """Tokens of the whole response, also when several engines worked on it."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokensDetails


class Response(msgspec.Struct, kw_only=True):
    """A response, finished or not. Fields that the request left out have the values that were used."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: ResponseStatus
    error: Failure | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    instructions: str | None
    previous_response_id: str | None
    output: list[OutputItem] = []
    usage: Usage | None = None
    max_output_tokens: int
    temperature: float
    top_p: float
    tools: list[ResponseTool]
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice
    parallel_tool_calls: bool
    text: TextOptions
    reasoning: ReasoningOptions
    top_logprobs: int
    truncation: Literal["disabled"] = "disabled"
    background: bool = False
    store: bool
    metadata: dict[str, str]
    user: str | None


class DeletedResponse(msgspec.Struct):
    """Answer of DELETE /v1/responses/{response_id}."""

    id: str
    object: Literal["response"] = "response"
    deleted: bool = True


def new_response(response_id: str, created: int, model: str, body: ResponsesBody, submit: GenerationRequest) -> Response:
    """A response at its beginning."""
    return Response(
        id=response_id,
        created_at=created,
        status="in_progress",
        model=model,
        instructions=body.instructions,
        previous_response_id=body.previous_response_id,
        max_output_tokens=submit.max_new_tokens,
        temperature=submit.sampling.temperature,
        top_p=submit.sampling.top_p,
        tools=body.tools or [],
        tool_choice=body.tool_choice or "auto",
        parallel_tool_calls=submit.parallel_tool_calls,
        text=TextOptions(body.text.format) if body.text else TextOptions(),  # without what is ignored
        reasoning=ReasoningOptions(body.reasoning.effort) if body.reasoning else ReasoningOptions(),
        top_logprobs=submit.sampling.logprobs or 0,
        background=bool(body.background),
        store=body.store is not False,
        metadata=body.metadata or {},
        user=body.user,
    )


def usage(finished: Finished) -> Usage:
    """Token counts of a finished response."""
    prompt, completion = finished.prompt_tokens, finished.completion_tokens
    return Usage(prompt, completion, prompt + completion, InputTokensDetails(finished.cached_tokens))


def failure(error: YoutuEdgeError) -> Failure:
    """An error as part of a response."""
    return Failure(error.code, error.message)


class ResponseCreated(msgspec.Struct, tag_field="type", tag="response.created"):
    """The request was accepted."""

    sequence_number: int
    response: Response


class ResponseInProgress(msgspec.Struct, tag_field="type", tag="response.in_progress"):
    """Work has begun."""

    sequence_number: int
    response: Response


class OutputItemAdded(msgspec.Struct, tag_field="type", tag="response.output_item.added"):
    """An item begins, still empty."""

    sequence_number: int
    output_index: int
    item: OutputItem


class OutputItemDone(msgspec.Struct, tag_field="type", tag="response.output_item.done"):
    """An item is complete."""

    sequence_number: int
    output_index: int
    item: OutputItem


class ContentPartAdded(msgspec.Struct, tag_field="type", tag="response.content_part.added"):
    """A part of an item begins, still empty."""

    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    part: OutputText | ReasoningText


class ContentPartDone(msgspec.Struct, tag_field="type", tag="response.content_part.done"):
    """A part of an item is complete."""

    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    part: OutputText | ReasoningText


class OutputTextDelta(msgspec.Struct, tag_field="type", tag="response.output_text.delta"):
    """More text."""

    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: list[ContentLogprob]


class OutputTextDone(msgspec.Struct, tag_field="type", tag="response.output_text.done"):
    """All of the text."""

    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: list[dict[str, Any]]


class ReasoningTextDelta(msgspec.Struct, tag_field="type", tag="response.reasoning_text.delta"):
    """More of a thought."""

    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ReasoningTextDone(msgspec.Struct, tag_field="type", tag="response.reasoning_text.done"):
    """All of a thought."""

    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    text: str


class ArgumentsDelta(msgspec.Struct, tag_field="type", tag="response.function_call_arguments.delta"):
    """More of a call's arguments."""

    sequence_number: int
    item_id: str
    output_index: int
    delta: str


class ArgumentsDone(msgspec.Struct, tag_field="type", tag="response.function_call_arguments.done"):
    """All of a call's arguments."""

    sequence_number: int
    item_id: str
    output_index: int
    name: str
    arguments: str


class ResponseCompleted(msgspec.Struct, tag_field="type", tag="response.completed"):
    """The last event of a complete response."""

    sequence_number: int
    response: Response


class ResponseIncomplete(msgspec.Struct, tag_field="type", tag="response.incomplete"):
    """The last event of a response that met its limit or was cancelled, as its status shows."""

    sequence_number: int
    response: Response


class ResponseFailed(msgspec.Struct, tag_field="type", tag="response.failed"):
    """The last event of a response that failed after it was accepted."""

    sequence_number: int
    response: Response


ResponseEvent = (
    ResponseCreated
    | ResponseInProgress
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | OutputTextDelta
    | OutputTextDone
    | ReasoningTextDelta
    | ReasoningTextDone
    | ArgumentsDelta
    | ArgumentsDone
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
)
