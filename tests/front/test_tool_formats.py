"""Tool calls of every form are found in the stream of an answer, however it is cut."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.front.answers.answer_splitter import AnswerSplitter
from youtu_edge.front.answers.pieces import Piece, ToolArguments, ToolCallStart
from youtu_edge.keyword_arguments import as_keywords
from youtu_edge.protocol.tags import THOUGHTS
from youtu_edge.tool_formats import format_named

FIRST, SECOND = '{"a": "}]</tool_call>", "b": [1, {}]}', "{}"
BOTH = [("f", FIRST), ("g", SECOND)]
ANSWERS: list[tuple[str, str, list[tuple[str, str]]]] = [
    ("mistral", '[TOOL_CALLS][{"name": "f", "arguments": %s}]', [("f", FIRST)]),
    ("mistral", '[TOOL_CALLS] [{"name": "f", "arguments": %s}, {"name": "g", "arguments": {}}]', BOTH),
    ("mistral-args", "[TOOL_CALLS]f[ARGS]%s", [("f", FIRST)]),
    ("mistral-args", "[TOOL_CALLS]f[ARGS]%s[TOOL_CALLS]g[ARGS]{}", [("f", FIRST), ("g", SECOND)]),
    ("granite", '<|tool_call|>[{"name": "f", "arguments": %s},{"name": "g", "arguments": {}}]', BOTH),
    ("phi", '<|tool_call|>[{"name": "f", "arguments": %s}]<|/tool_call|>', [("f", FIRST)]),
    (
        "phi", '<|tool_call|>[{"name": "f", "arguments": %s}, {"name": "g", "arguments": {}}]<|/tool_call|>',
        [("f", FIRST), ("g", SECOND)],
    ),
    ("minicpm", "<|tool_call_start|>\n```python\nf(%s)\n```\n<|tool_call_end|>\n", [("f", FIRST)]),
    ("minicpm", "<|tool_call_start|>\n```python\nf(%s)\ng()\n```\n<|tool_call_end|>", BOTH),
    ("minicpm", "<|tool_call_start|>```python\nf(%s)\n\ng()```<|tool_call_end|>", BOTH),
    ("json", '{"name": "f", "parameters": %s}', [("f", FIRST)]),
    ("json", '\n<|python_tag|>{"name": "f", "parameters": %s}', [("f", FIRST)]),
]  # fmt: skip
TEXTS = [
    ("mistral", "1 [TOOL_ 2 [", "1 [TOOL_ 2 ["),
    ("mistral", "[TOOL_CALLS]nonsense", "[TOOL_CALLS]nonsense"),
    ("phi", "<|tool_call|>nonsense<|/tool_call|>", "<|tool_call|>nonsense<|/tool_call|>"),
    ("minicpm", "<|tool_call_start|>\nf()<|tool_call_end|>", "<|tool_call_start|>\nf()<|tool_call_end|>"),
    ("json", '{"names": ["a"]}', '{"names": ["a"]}'),
    ("json", 'So: {"name": "f", "parameters": {}}', 'So: {"name": "f", "parameters": {}}'),
    ("json", '{"name": "f"}', '{"name": "f"}'),
    ("json", "<|python", "<|python"),
]


def split(name: str, parts: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """The text, and name and arguments of every call."""
    splitter = AnswerSplitter(form=format_named(name))
    pieces: list[Piece] = [piece for part in parts for piece in splitter.push(part)] + splitter.finish()
    calls: list[list[str]] = []
    text = ""
    for piece in pieces:
        if isinstance(piece, ToolCallStart):
            assert piece.index == len(calls)
            calls.append([piece.name, ""])
        elif isinstance(piece, ToolArguments):
            calls[piece.index][1] += piece.text
        else:
            text += getattr(piece, "text", "")
    return text, [(call[0], call[1]) for call in calls]


@given(answer=st.sampled_from(ANSWERS), cuts=st.lists(st.integers(0, 150)), tags=st.sampled_from([None, *THOUGHTS.items()]))
def test_calls_are_found_wherever_the_text_is_cut(answer: Any, cuts: list[int], tags: tuple[str, str] | None) -> None:
    name, form, expected = answer
    arguments = as_keywords(FIRST) if format_named(name).has_keywords else FIRST
    text = (f"{tags[0]}\nhm{tags[1]}\n\n" if tags else "") + form % arguments
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    shown, calls = split(name, [text[begin:end] for begin, end in itertools.pairwise(edges)])
    assert calls == expected
    assert shown == ("hm" if tags else "")


@pytest.mark.parametrize(("name", "text", "shown"), TEXTS)
def test_what_only_looks_like_a_call_is_text(name: str, text: str, shown: str) -> None:
    for parts in ([text], list(text)):
        assert split(name, parts) == (shown, [])


@pytest.mark.parametrize("name", ["mistral", "mistral-args", "granite", "phi", "minicpm"])
def test_text_before_a_call_stays(name: str) -> None:
    call = format_named(name).call("f", "{}")
    assert split(name, ["Let me see.\n" + call]) == ("Let me see.", [("f", "{}")])


@pytest.mark.parametrize("name", ["mistral", "phi", "minicpm", "json"])
def test_a_call_that_is_cut_before_its_name_is_dropped(name: str) -> None:
    form = format_named(name)
    splitter = AnswerSplitter(form=form)
    assert splitter.push(form.call("f", "{}")[: len(form.begin) + (0 if name == "json" else 5)]) == []
    assert splitter.finish(is_cut=True) == []


def test_arguments_that_are_no_literals_end_where_they_go_wrong() -> None:
    """The engine's grammar does not allow them. The call is cut, and what follows it is text."""
    answer = "<|tool_call_start|>\n```python\nf(a=1, b=open('x'))\n```\n<|tool_call_end|>\nDone."
    for parts in ([answer], list(answer)):
        assert split("minicpm", parts) == ("Done.", [("f", '{"a": 1, "b": ')])
