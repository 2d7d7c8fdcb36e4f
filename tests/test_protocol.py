"""Frames survive any splitting; messages come back as they went."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.config import Config
from youtu_edge.protocol.codec import encode_frame
from youtu_edge.protocol.framing import FrameReader, FramingError
from youtu_edge.protocol.from_engine import (
    FROM_ENGINE,
    Accepted,
    Alternative,
    Delta,
    EngineStats,
    Failed,
    Fatal,
    Finished,
    FromEngine,
    Heartbeat,
    Ready,
    Reply,
    StepFrame,
    TokenLogprob,
)
from youtu_edge.protocol.prompt import ChatMessage, ToolCall
from youtu_edge.protocol.to_engine import (
    TO_ENGINE,
    Cancel,
    Detokenize,
    JsonSchema,
    Query,
    Regex,
    Render,
    SamplingParams,
    Shutdown,
    Start,
    Submit,
    ToEngine,
    Tokenize,
)

TO: list[ToEngine] = [
    Start(Config()),
    Submit("a", SamplingParams(seed=2**63 - 1), 5, messages=[ChatMessage("user", "你好")]),
    Submit("b", SamplingParams(), 5, prompt="x", sent_tokens=[1, 2], sent_text="ab"),
    Submit("c", SamplingParams(logit_bias={5: -1.0}, logprobs=0), 5, grammar=Regex("regex", "a")),
    Submit(
        "d",
        SamplingParams(),
        5,
        messages=[ChatMessage("assistant", "", tool_calls=[ToolCall("1", "f", "{}")])],
        grammar=JsonSchema("response_format", {"type": "object"}),
        tools=[{"type": "function", "function": {"name": "f"}}],
        must_call=["f"],
    ),
    Cancel("a"),
    Query("q", Tokenize("你好", add_special=True)),
    Query("q", Detokenize([1, 2])),
    Query("q", Render([ChatMessage("user", "x")])),
    Shutdown(),
]
FROM: list[FromEngine] = [
    Ready("m", 10, 2, 32, 0.5, {"weights": 3}),
    Accepted("a", 3),
    StepFrame(
        [
            Delta("a", [1], "x"),
            Delta("b", [2], "", [TokenLogprob(Alternative("\ufffd", b"\xe4", -0.5), [])]),
        ],
        [Finished("a", "stop", 1, 2, 3)],
        EngineStats(steps=1),
    ),
    Reply("q", "x", [1]),
    Failed("a", "invalid_request", "no", "messages"),
    Heartbeat(EngineStats()),
    Fatal(78, "damaged"),
]


@pytest.mark.parametrize("message", TO, ids=lambda message: type(message).__name__)
def test_a_message_to_the_engine_comes_back_as_it_went(message: ToEngine) -> None:
    (body,) = FrameReader().feed(encode_frame(message))
    assert TO_ENGINE.decode(body) == message


@pytest.mark.parametrize("message", FROM, ids=lambda message: type(message).__name__)
def test_a_message_from_the_engine_comes_back_as_it_went(message: FromEngine) -> None:
    (body,) = FrameReader().feed(encode_frame(message))
    assert FROM_ENGINE.decode(body) == message


@given(st.lists(st.sampled_from(FROM), max_size=8), st.lists(st.integers(0, 400), max_size=20))
def test_frames_are_the_same_however_the_stream_is_split(messages: list[FromEngine], cuts: list[int]) -> None:
    stream = b"".join(map(encode_frame, messages))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = FrameReader()
    pieces = [stream[begin:end] for begin, end in itertools.pairwise(edges)]
    assert [FROM_ENGINE.decode(body) for piece in pieces for body in reader.feed(piece)] == messages
    assert reader.pending_bytes == 0


@given(st.integers(1, 30))
def test_a_torn_frame_is_pending_and_never_delivered(missing: int) -> None:
    frame = encode_frame(FROM[0])
    reader = FrameReader()
    assert list(reader.feed(frame[:-missing])) == []
    assert reader.pending_bytes == len(frame) - missing


def test_a_header_beyond_the_limit_is_refused_before_its_body_arrives() -> None:
    with pytest.raises(FramingError, match="exceeds the limit of 100"):
        list(FrameReader(max_frame_bytes=100).feed(struct.pack("<I", 101)))
