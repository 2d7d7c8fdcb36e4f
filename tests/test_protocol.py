"""Frames survive any splitting; messages come back as they went."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge import protocol
from youtu_edge.config import Config
from youtu_edge.framing import FrameReader, FramingError
from youtu_edge.protocol import FROM_ENGINE, TO_ENGINE, encode_frame

TO: list[protocol.ToEngine] = [
    protocol.Start(Config()),
    protocol.Submit("a", protocol.SamplingParams(seed=2**63 - 1), 5, messages=[protocol.ChatMessage("user", "你好")]),
    protocol.Submit("b", protocol.SamplingParams(), 5, prompt="x", sent_tokens=[1, 2], sent_text="ab"),
    protocol.Submit(
        "c", protocol.SamplingParams(logit_bias={5: -1.0}, logprobs=0), 5, grammar=protocol.Regex("regex", "a")
    ),
    protocol.Submit(
        "d",
        protocol.SamplingParams(),
        5,
        messages=[protocol.ChatMessage("assistant", "", tool_calls=[protocol.ToolCall("1", "f", "{}")])],
        grammar=protocol.JsonSchema("response_format", {"type": "object"}),
        tools=[{"type": "function", "function": {"name": "f"}}],
        must_call=["f"],
    ),
    protocol.Cancel("a"),
    protocol.Ask("q", protocol.Tokenize("你好", add_special=True)),
    protocol.Ask("q", protocol.Detokenize([1, 2])),
    protocol.Ask("q", protocol.Render([protocol.ChatMessage("user", "x")])),
    protocol.Shutdown(),
]
FROM: list[protocol.FromEngine] = [
    protocol.Ready("m", 10, 2, 32, 0.5, {"weights": 3}),
    protocol.Accepted("a", 3),
    protocol.StepFrame(
        [
            protocol.Delta("a", [1], "x"),
            protocol.Delta("b", [2], "", [protocol.TokenLogprob(protocol.Alternative("\ufffd", b"\xe4", -0.5), [])]),
        ],
        [protocol.Finished("a", "stop", 1, 2, 3)],
        protocol.EngineStats(steps=1),
    ),
    protocol.Reply("q", "x", [1]),
    protocol.Failed("a", "invalid_request", "no", "messages"),
    protocol.Heartbeat(protocol.EngineStats()),
    protocol.Fatal(78, "damaged"),
]


@pytest.mark.parametrize("message", TO, ids=lambda message: type(message).__name__)
def test_a_message_to_the_engine_comes_back_as_it_went(message: protocol.ToEngine) -> None:
    (body,) = FrameReader().feed(encode_frame(message))
    assert TO_ENGINE.decode(body) == message


@pytest.mark.parametrize("message", FROM, ids=lambda message: type(message).__name__)
def test_a_message_from_the_engine_comes_back_as_it_went(message: protocol.FromEngine) -> None:
    (body,) = FrameReader().feed(encode_frame(message))
    assert FROM_ENGINE.decode(body) == message


@given(st.lists(st.sampled_from(FROM), max_size=8), st.lists(st.integers(0, 400), max_size=20))
def test_frames_are_the_same_however_the_stream_is_split(messages: list[protocol.FromEngine], cuts: list[int]) -> None:
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
