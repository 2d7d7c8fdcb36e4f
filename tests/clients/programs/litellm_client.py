"""LiteLLM, with its providers for OpenAI's, Anthropic's and Ollama's API."""

import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the internet for prices when it is imported

import litellm
from rows import CALL, CITY, ECHO, LOOK_TOOL, MODEL, QUESTION, TEXT, is_city, run

PATHS = {"openai": "/v1", "anthropic": "", "ollama_chat": ""}
provider = sys.argv[1]


def ask(url: str, text: str, **more: object):
    return litellm.completion(
        model=f"{provider}/default",
        api_base=f"{url}{PATHS[provider]}",
        api_key="none",
        messages=[{"role": "user", "content": text}],
        **more,
    )


def whole() -> None:
    assert ask(ECHO, TEXT).choices[0].message.content == TEXT


def stream() -> None:
    assert "".join(part.choices[0].delta.content or "" for part in ask(ECHO, TEXT, stream=True)) == TEXT


def tools() -> None:
    call = ask(ECHO, CALL, tools=[LOOK_TOOL]).choices[0].message.tool_calls[0].function
    assert (call.name, json.loads(call.arguments)) == ("look", {"at": "sky"})


def schema() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    answer = ask(MODEL, QUESTION, response_format=form, max_tokens=60)
    assert is_city(json.loads(answer.choices[0].message.content))


run(whole, stream, tools, *([] if provider == "anthropic" else [schema]))
