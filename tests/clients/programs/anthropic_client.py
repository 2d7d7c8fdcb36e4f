"""Anthropic's client. It has no schemas of its own besides those of tools."""

import anthropic
from rows import CALL, ECHO, LOOK, TEXT, run

echo = anthropic.Anthropic(base_url=ECHO, api_key="none", max_retries=0)
TOOLS = [{"name": "look", "description": "Look at it", "input_schema": LOOK}]


def asked(text: str) -> dict:
    return {"model": "default", "max_tokens": 200, "messages": [{"role": "user", "content": text}]}


def whole() -> None:
    assert echo.messages.create(**asked(TEXT)).content[0].text == TEXT


def stream() -> None:
    with echo.messages.stream(**asked(TEXT)) as events:
        assert "".join(events.text_stream) == TEXT


def tools() -> None:
    for answer in (echo.messages.create(**asked(CALL), tools=TOOLS), streamed()):
        assert answer.stop_reason == "tool_use"
        assert (answer.content[-1].name, answer.content[-1].input) == ("look", {"at": "sky"})


def streamed():
    with echo.messages.stream(**asked(CALL), tools=TOOLS) as events:
        return events.get_final_message()


run(whole, stream, tools)
