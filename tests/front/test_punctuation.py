"""Punctuation repair: what it changes, what it never touches, and that streams get the same as whole texts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from front.scripted_daemon import Daemon
from youtu_edge.front.answers.punctuation import PunctuationRepair, is_hanzi, repair


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("今天天气很好 我们去公园玩", "今天天气很好，我们去公园玩。"),
        ("你好, 我是小优.", "你好，我是小优。"),
        ("真的吗?真的!好:一;二,三.四", "真的吗？真的！好：一；二，三。四。"),
        ("他说:“好”", "他说：“好”"),
        ("他说, “好”", "他说，“好”"),
        ("第一句.\n第二句", "第一句。\n第二句。"),
        ("好\n", "好。\n"),
        ("好  \n\n", "好。  \n\n"),
        ("张三\u3000李四", "张三，李四。"),
        ("𠀀 〇", "𠀀，〇。"),
        ("好", "好。"),
    ],
)
def test_chinese_without_punctuation_is_repaired(text: str, repaired: str) -> None:
    assert repair(text) == repaired


@pytest.mark.parametrize(
    "text",
    [
        "",
        "圆周率是3.14，人口1,000万。",
        "我用 Python 写代码。",
        "他说: hello, world.",
        "版本:3.14",
        "hello world. 3.14, 1,000: a; b? c!",
        "第一行\n第二行。",
        "等等...",
        "`变量 名称`",
        "``变 量 ` 名``",
        "代码：\n```python\nprint('你好, 世界') # 注释 说明\n```\n完。",
        "~~~\n甲 乙\n~~~",
        "    缩进 代码",
        "# 第一章 绪论",
        "| 姓名 年龄 | 城市 国家 |",
        "- 苹果\n- 香蕉",
        "1. 苹果\n2. 香蕉",
        "见 https://zh.wikipedia.org/wiki/中国,历史 ",
        "www.例子.中国",
        '{"城市": "北京,上海"}',
        '[{"城市": "北京 上海"}]',
        '\n [ "北京 上海"]',
        "한국어 텍스트, 좋다",
        "已有标点，不用改。",
        "（括号）",
    ],
)
def test_everything_else_is_left_alone(text: str) -> None:
    assert repair(text) == text


def test_text_behind_code_is_repaired_again() -> None:
    assert repair("用`a b`好 吧\n\n```\n甲 乙\n```\n丙 丁") == "用`a b`好，吧\n\n```\n甲 乙\n```\n丙，丁。"


def test_a_backtick_that_is_never_closed_ends_with_its_paragraph() -> None:
    assert repair("一个`反引号 在\n这里 吧\n\n下 段") == "一个`反引号 在\n这里 吧\n\n下，段。"


def test_a_text_that_was_cut_off_gets_no_full_stop() -> None:
    assert repair("我们去 公园", is_complete=False) == "我们去，公园"
    assert repair("我们去公园,", is_complete=False) == "我们去公园,"


alphabet = st.sampled_from(
    [*"今天很好我", *"ab1", *" ,.!?:;", *"\n`~#|-*{[“”，。", "://", "```", "\n```\n", "    ", "www."]
)
texts = st.lists(alphabet, max_size=40).map("".join) | st.text(max_size=40)


@given(texts, st.lists(st.integers(0, 5), max_size=60), st.booleans())
def test_any_chunking_gives_the_same_as_the_whole(text: str, lengths: list[int], is_complete: bool) -> None:
    state, out, begin = PunctuationRepair(), "", 0
    for length in lengths:
        out += state.push(text[begin : begin + length])
        begin += length
    out += state.push(text[begin:]) + state.finish(is_complete=is_complete)
    assert out == repair(text, is_complete=is_complete)


@given(texts, st.booleans())
def test_repairing_twice_is_repairing_once(text: str, is_complete: bool) -> None:
    once = repair(text, is_complete=is_complete)
    assert repair(once, is_complete=is_complete) == once


@given(texts)
def test_nothing_but_punctuation_and_spaces_ever_changes(text: str) -> None:
    marks = frozenset(",.!?:;，。！？：；")

    def letters(value: str) -> str:
        return "".join(character for character in value if character not in marks and not character.isspace())

    assert letters(repair(text)) == letters(text)


@given(st.text(max_size=60).filter(lambda text: not any(map(is_hanzi, text))))
def test_text_without_chinese_is_never_changed(text: str) -> None:
    assert repair(text) == text


@given(texts)
def test_little_is_held_back(text: str) -> None:
    """A stream shows every character at once, except marks and spaces behind a Chinese character."""
    state, given_out = PunctuationRepair(), 0
    for number, character in enumerate(text, 1):
        given_out += len(state.push(character))
        if not character.isspace() and character not in ",.!?:;":
            assert state.push("") == ""
            assert given_out >= len(repair(text[:number], is_complete=False)), "nothing is pending behind a letter"


def test_requests_choose_it_and_streams_get_the_same_text(daemon: Daemon) -> None:
    content = "今天天气很好 我们去公园玩"
    expected = "今天天气很好，我们去公园玩。"
    status, answer = daemon.chat(content, punctuation="repair")
    assert (status, answer["choices"][0]["message"]["content"]) == (200, expected)
    assert daemon.chat(content)[1]["choices"][0]["message"]["content"] == content
    body = {"messages": [{"role": "user", "content": content}], "punctuation": "repair", "stream": True}
    events = daemon.stream("/v1/chat/completions", body)
    assert "".join(choice["delta"].get("content", "") for event in events for choice in event["choices"]) == expected
    body = {"prompt": content, "punctuation": "repair"}
    assert json.loads(daemon.request("POST", "/chat", body)[2])["response"] == expected
    assert "".join(event.get("text", "") for event in daemon.stream("/chat_stream", body)) == expected


def test_an_answer_that_was_cut_off_ends_where_it_was_cut(daemon: Daemon) -> None:
    _, answer = daemon.chat("今天天气很好", punctuation="repair", max_tokens=3)
    assert answer["choices"][0]["message"]["content"] == "今天天"


def test_an_unknown_kind_of_repair_is_refused(daemon: Daemon) -> None:
    status, answer = daemon.chat("好", punctuation="on")
    assert (status, answer["error"]["param"]) == (400, "punctuation")
