"""Thoughts, text and tool calls are told apart, however the text arrives."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.front.answers.answer_splitter import AnswerSplitter
from youtu_edge.front.answers.pieces import Text, Thought, ToolArguments, ToolCallStart
from youtu_edge.tool_formats import HERMES

CALL = '<tool_call>{"name": "f", "arguments": {"a": "}</tool_call>{\\"", "b": [1, {}]}}</tool_call>'
ARGUMENTS = '{"a": "}</tool_call>{\\"", "b": [1, {}]}'
CALLED = [("ToolCallStart", "f"), ("ToolArguments", ARGUMENTS)]


def split(parts: list[str], *, in_thought: bool = False, has_tools: bool = True) -> list[tuple[str, str]]:
    """Kinds and texts of what came out, neighbours of one kind put together."""
    splitter = AnswerSplitter(in_thought=in_thought, form=HERMES if has_tools else None)
    pieces = [piece for part in parts for piece in splitter.push(part)] + splitter.finish()
    out: list[tuple[str, str]] = []
    for piece in pieces:
        kind = type(piece).__name__
        text = piece.name if isinstance(piece, ToolCallStart) else getattr(piece, "text", "")
        if out and out[-1][0] == kind and not isinstance(piece, ToolCallStart):
            out[-1] = (kind, out[-1][1] + text)
        else:
            out.append((kind, text))
    return out


CASES = [
    ("hello", [("Text", "hello")]),
    ("  hello ", [("Text", "  hello ")]),
    ("<think>\nhm\n\nso\n</think>\n\nyes", [("Thought", "hm\n\nso"), ("Text", "yes")]),
    (" \n<think></think>yes", [("Text", "yes")]),
    ("<|thought_start|>\nhm </think>\n<|thought_end|>\nyes", [("Thought", "hm </think>"), ("Text", "yes")]),
    ("<|thought_", [("Text", "<|thought_")]),
    ("<think>never ends\n", [("Thought", "never ends")]),
    ("<thin", [("Text", "<thin")]),
    ("a <think>b</think>", [("Text", "a <think>b</think>")]),
    ("<think>a <tool_call> b</think>" + CALL, [("Thought", "a <tool_call> b"), *CALLED]),
    ("Let me see.\n" + CALL, [("Text", "Let me see."), *CALLED]),
    (CALL + "\n" + CALL + "\n", CALLED * 2),
    ("1 <tool_ call> 2 <", [("Text", "1 <tool_ call> 2 <")]),
    ("<tool_call>nonsense</tool_call> x", [("Text", "<tool_call>nonsense</tool_call>x")]),
    ("<tool_call>cut", [("Text", "<tool_call>cut")]),
    ('<tool_call>{"name": "f", "arguments": {"a', [("ToolCallStart", "f"), ("ToolArguments", '{"a')]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_an_answer_in_one_piece_and_character_by_character(text: str, expected: list[tuple[str, str]]) -> None:
    """Both ways give the same."""
    assert split([text]) == expected
    assert split(list(text)) == expected


@given(st.sampled_from([text for text, _ in CASES]), st.lists(st.integers(0, 100)), st.booleans())
def test_where_the_text_is_cut_makes_no_difference(text: str, cuts: list[int], in_thought: bool) -> None:
    """Kinds and texts are those of the uncut answer."""
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [text[begin:end] for begin, end in itertools.pairwise(edges)]
    assert split(parts, in_thought=in_thought) == split([text], in_thought=in_thought)


def test_a_prompt_that_opened_the_thought_needs_no_tag() -> None:
    """The answer begins with the rest of the thought."""
    assert split(["\nhm</thi", "nk>\n\nyes"], in_thought=True) == [("Thought", "hm"), ("Text", "yes")]


def test_without_tools_the_tag_is_text() -> None:
    """A model may write about <tool_call>."""
    assert split([CALL], has_tools=False) == [("Text", CALL)]


def test_arguments_come_as_they_are_written() -> None:
    """Neither the name nor the arguments wait for the end of the call; each call has its own number and id."""
    splitter = AnswerSplitter(form=HERMES)
    assert splitter.push('Hi<tool_call>{"name": "f"') == [Text("Hi")]
    start, arguments = splitter.push(', "arguments": {"x')
    assert isinstance(start, ToolCallStart)
    assert arguments == ToolArguments(0, '{"x')
    assert splitter.push('": 1}') == [ToolArguments(0, '": 1}')]
    assert splitter.push("}</tool_call>") == []
    second = splitter.push(CALL)[0]
    assert isinstance(second, ToolCallStart)
    assert (second.index, second.id != start.id) == (1, True)


def test_a_call_that_is_cut_before_its_name_is_dropped() -> None:
    """Half a tag is no text that anybody wants to read; what ended by itself is shown as it is."""
    splitter = AnswerSplitter(form=HERMES)
    assert splitter.push('Hi<tool_call>{"na') == [Text("Hi")]
    assert splitter.finish(is_cut=True) == []


def test_a_thought_is_streamed_but_not_its_last_line_break() -> None:
    """What may be the frame is held back, nothing else."""
    splitter = AnswerSplitter()
    assert splitter.push("<think>\nhm") == [Thought("hm")]
    assert splitter.push("\n") == []
    assert splitter.push("so <") == [Thought("\nso ")]


def shown(text: str, cut: int | None = None) -> dict[str, str]:
    """All thoughts, texts and arguments of an answer, or of its first `cut` characters when its limit ends it there."""
    splitter = AnswerSplitter(form=HERMES)
    pieces = splitter.push(text[:cut]) + splitter.finish(is_cut=cut is not None)
    out = {"Thought": "", "Text": "", "ToolArguments": ""}
    for piece in pieces:
        if not isinstance(piece, ToolCallStart):
            out[type(piece).__name__] += getattr(piece, "text", "")
    return out


@pytest.mark.parametrize(
    "text",
    [
        CALL + CALL,
        f"{CALL}\n{CALL}\n",
        f"One moment.\n\n{CALL}",
        f"{CALL} then 1 < 2 <b> {CALL}",
        f"<think>\nhm < 3\n</think>\n\nyes {CALL}",
        " \n<think></think>yes",
        "<tool_call>nonsense</tool_call> x",
    ],
)
def test_an_answer_that_is_cut_shows_nothing_that_the_longer_one_would_not_show(text: str) -> None:
    """No half of a tag, and no white space that turns out to belong to the frame, wherever the limit falls."""
    whole = shown(text)
    for cut in range(len(text)):
        part = shown(text, cut)
        assert {kind: whole[kind].startswith(part[kind]) for kind in whole} == dict.fromkeys(whole, True), text[:cut]


def test_what_the_grammar_would_not_have_begun_is_no_call() -> None:
    """Its arguments were never held to a schema."""
    for begin in ('<tool_call>\n\n{"name": ', '<tool_call> {"name": ', '<tool_call>{"name":'):
        text = begin + '"f", "arguments": {"a": 1}}</tool_call>'
        assert split([text]) == [("Text", text)]
