"""Ollama's client: chat and generate."""

import json

import ollama
from rows import CALL, CITY, ECHO, MODEL, QUESTION, TEXT, is_city, look, run

echo, model = ollama.Client(ECHO), ollama.Client(MODEL, timeout=120)


def asked(text: str) -> dict:
    return {"model": "default", "messages": [{"role": "user", "content": text}]}


def whole() -> None:
    assert [entry.model for entry in echo.list().models] == ["scripted:latest"]
    assert echo.chat(**asked(TEXT)).message.content == TEXT
    assert echo.generate(model="default", prompt=TEXT).response == TEXT


def stream() -> None:
    assert "".join(part.message.content or "" for part in echo.chat(**asked(TEXT), stream=True)) == TEXT


def tools() -> None:
    call = echo.chat(**asked(CALL), tools=[look]).message.tool_calls[0].function
    assert (call.name, dict(call.arguments)) == ("look", {"at": "sky"})


def schema() -> None:
    answer = model.chat(**asked(QUESTION), format=CITY, options={"num_predict": 60, "num_ctx": 8192})
    assert is_city(json.loads(answer.message.content))


run(whole, stream, tools, schema)
