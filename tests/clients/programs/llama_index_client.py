"""LlamaIndex with OpenAILike or Ollama."""

import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from rows import CALL, CITY, ECHO, MODEL, QUESTION, TEXT, is_city, look, run


def client(url: str, **more: object):
    if sys.argv[1] == "openai":
        from llama_index.llms.openai_like import OpenAILike

        return OpenAILike(
            api_base=f"{url}/v1",
            api_key="none",
            model="default",
            is_chat_model=True,
            is_function_calling_model=True,
            **more,
        )
    from llama_index.llms.ollama import Ollama

    return Ollama(base_url=url, model="default", request_timeout=120, context_window=4096, **more)


def whole() -> None:
    assert client(ECHO).chat([ChatMessage(TEXT)]).message.content == TEXT


def stream() -> None:
    assert "".join(part.delta or "" for part in client(ECHO).stream_chat([ChatMessage(TEXT)])) == TEXT


def tools() -> None:
    llm = client(ECHO)
    answer = llm.chat_with_tools([FunctionTool.from_defaults(look)], user_msg=CALL)
    call = llm.get_tool_calls_from_response(answer)[0]
    assert (call.tool_name, call.tool_kwargs) == ("look", {"at": "sky"})


def schema() -> None:
    if sys.argv[1] == "openai":
        form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
        answer = client(MODEL, max_tokens=60).chat([ChatMessage(QUESTION)], response_format=form)
    else:
        answer = client(MODEL).chat([ChatMessage(QUESTION)], format=CITY)
    assert is_city(json.loads(answer.message.content))


run(whole, stream, tools, schema)
