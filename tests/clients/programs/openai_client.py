"""OpenAI's client: chat, Responses, Completions."""

import json

import openai
from rows import CALL, CITY, ECHO, LOOK_TOOL, MODEL, QUESTION, TEXT, is_city, run

echo = openai.OpenAI(base_url=f"{ECHO}/v1", api_key="none", max_retries=0)
model = openai.OpenAI(base_url=f"{MODEL}/v1", api_key="none", max_retries=0, timeout=120)


def ask(client: openai.OpenAI, text: str, **more: object):
    return client.chat.completions.create(model="default", messages=[{"role": "user", "content": text}], **more)


def whole() -> None:
    assert ask(echo, TEXT).choices[0].message.content == TEXT
    assert echo.responses.create(model="default", input=TEXT).output_text == TEXT
    assert model.completions.create(model="default", prompt="one, two,", max_tokens=4).choices[0].text


def stream() -> None:
    assert "".join(part.choices[0].delta.content or "" for part in ask(echo, TEXT, stream=True)) == TEXT
    with echo.responses.stream(model="default", input=TEXT) as events:
        assert events.get_final_response().output_text == TEXT


def tools() -> None:
    called = ask(echo, CALL, tools=[LOOK_TOOL]).choices[0]
    assert called.finish_reason == "tool_calls"
    assert json.loads(called.message.tool_calls[0].function.arguments) == {"at": "sky"}
    with echo.chat.completions.stream(
        model="default", messages=[{"role": "user", "content": CALL}], tools=[LOOK_TOOL]
    ) as events:
        assert events.get_final_completion().choices[0].message.tool_calls[0].function.name == "look"


def schema() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    assert is_city(json.loads(ask(model, QUESTION, response_format=form, max_tokens=60).choices[0].message.content))


run(whole, stream, tools, schema)
