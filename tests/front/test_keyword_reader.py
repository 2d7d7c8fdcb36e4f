"""Arguments written as in Python come out as JSON, however the text is cut, and nothing is evaluated."""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from youtu_edge.front.answers.keyword_reader import MAX_ATOM, MAX_DEPTH, KeywordReader
from youtu_edge.keyword_arguments import as_keywords, literal

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
"""Without halves of surrogate pairs, of which Python's literals have a meaning of their own."""
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=4
)
NAMES = st.from_regex(r"\A[a-zA-Z_][a-zA-Z0-9_$@.-]{0,5}\Z")
CUTS = st.lists(st.integers(0, 60), max_size=6)
WRITERS: tuple[Callable[[Any], str], ...] = (
    repr,
    json.dumps,
    literal,
    lambda value: json.dumps(value, indent=1, ensure_ascii=False),
)
MARKS = [
    "a",
    "=",
    ",",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    "'",
    '"',
    '"""',
    "\\",
    "\\x4",
    "\\ud83d",
    "7",
    "-1.5e3",
    "*",
    " ",
]


def read(text: str, cuts: list[int]) -> tuple[str, str, bool]:
    """The JSON, what was not read, and whether the form was broken."""
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    reader, written, rest = KeywordReader(), "", ""
    for begin, end in itertools.pairwise(edges):
        if reader.is_done or reader.is_broken:
            rest += text[begin:end]
        else:
            written += reader.push(text[begin:end])
            rest = reader.rest
    return written, rest, reader.is_broken


@settings(max_examples=50)
@given(st.dictionaries(NAMES, VALUES, max_size=3), st.sampled_from(WRITERS), CUTS)
def test_python_and_json_literals_become_the_same_json(
    values: dict[str, Any], write: Callable[[Any], str], cuts: list[int]
) -> None:
    text = ", ".join(f"{name}={write(value)}" for name, value in values.items())
    written, rest, _ = read(text + ") and more", cuts)
    assert (json.loads(written), rest) == (values, ") and more")


@settings(max_examples=50)
@given(st.dictionaries(TEXT, VALUES, max_size=3), CUTS)
def test_what_is_written_for_a_template_is_read_again(values: dict[str, Any], cuts: list[int]) -> None:
    """Also names that are no keywords."""
    written, rest, _ = read(as_keywords(json.dumps(values)) + ")", cuts)
    assert (json.loads(written), rest) == (values, ")")


@given(
    st.text(st.sampled_from("ab'\"\\\n01234567xuUn/N{}é\u4e00\U0001f600"), max_size=12),
    st.sampled_from(["'", '"', "'''", '"""']),
)
def test_strings_are_those_of_python(body: str, quote: str) -> None:
    """But for JSON's slash. Line ends in short strings are read, which Python refuses."""
    text = f"{quote}{body}{quote}"
    assume(text.count(quote[0]) == 2 * len(quote) and "\\/" not in body)
    try:
        value = ast.literal_eval(f"({text}\n)")
    except SyntaxError:
        return
    written, rest, is_broken = read(f"a={text})", [])
    assert (rest, is_broken) == (")", False)
    assert json.loads(written) == {"a": value}


@given(st.lists(st.sampled_from(MARKS), max_size=20).map("".join), CUTS)
def test_any_text_gives_the_same_wherever_it_is_cut(text: str, cuts: list[int]) -> None:
    assert read(text, cuts) == read(text, []) == read(text, list(range(len(text))))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (")", "{}"),
        (" a = 1 , )", '{"a": 1}'),
        ("a=[1,], b={'x': (),})", '{"a": [1], "b": {"x": '),
        ("a=+007, b=1_000, c=1., d=.5, e=-0.0E+5)", '{"a": 7, "b": 1000, "c": 1.0, "d": 0.5, "e": -0.0E+5}'),
        ("a='''it's\n\"so\"''', b=\"\")", '{"a": "it\'s\\n\\"so\\"", "b": ""}'),
        (r"a='\d\n\x41\u00e9\U0001F600\101\'\/\ud83d\ude00')", '{"a": "\\\\d\\nAé😀A\'/\\ud83d\\ude00"}'),
        ("a='one\\\ntwo')", '{"a": "onetwo"}'),
        ("** {'a key': True})", '{"a key": true}'),
        ("content-type='x', 城市='奥斯陆')", '{"content-type": "x", "城市": "奥斯陆"}'),
    ],
)  # fmt: skip
def test_what_models_write(text: str, written: str) -> None:
    for cuts in ([], list(range(len(text)))):
        assert read(text, cuts)[0] == written


@pytest.mark.parametrize(
    "text",
    [
        "a=open('/etc/passwd'))", "a=__import__)", "a=1+1)", "a=f'x')", "a=b'x')", "a=1j)", "a=0x1f)", "a=inf)", "a=...)",
        "1)", "a)", "a==1)", "a='x' 'y')", "a={1: 2})", "a={'x'})", "a=[,])", "a=(1, 2))", "a=1, **{})", "**[1])",
        "**{}, b=1)", "a='\\x4g')", "a='\\U00110000')", "a=lambda: 1)", "a=1 # no)", "a=]", "]",
        f"a={'1' * (MAX_ATOM + 1)})", f"{'a' * (MAX_ATOM + 1)}=1)", f"a={'[' * (MAX_DEPTH + 1)}",
    ],
)  # fmt: skip
def test_anything_else_ends_the_reading(text: str) -> None:
    """What has been written is the beginning of a document, as of an answer that was cut."""
    written, rest, is_broken = read(text, [])
    assert is_broken
    assert text.endswith(rest)
    assert not written or written[0] == "{"


def test_numbers_and_nested_brackets_have_limits_that_are_not_in_the_way() -> None:
    text = f"a={'1' * MAX_ATOM}, b={'[' * (MAX_DEPTH - 1)}{']' * (MAX_DEPTH - 1)})"
    assert not read(text, [])[2]


def test_a_string_comes_as_it_is_written() -> None:
    """Character by character, and not at its end."""
    reader = KeywordReader()
    assert [reader.push(piece) for piece in ("city='Os", "lo\\", "n", "x", "'")] == ['{"city": "Os', "lo", "\\n", "x", '"']
