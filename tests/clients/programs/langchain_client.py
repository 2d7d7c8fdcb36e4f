"""LangChain with langchain-openai or langchain-ollama."""

import sys

from langchain_core.messages import HumanMessage
from rows import CALL, CITY, ECHO, MODEL, QUESTION, TEXT, is_city, look, run


def client(url: str, **more: object):
    if sys.argv[1] == "openai":
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(base_url=f"{url}/v1", api_key="none", model="default", max_retries=0, **more)
    from langchain_ollama import ChatOllama

    return ChatOllama(base_url=url, model="default", **more)


def whole() -> None:
    assert client(ECHO).invoke([HumanMessage(TEXT)]).content == TEXT


def stream() -> None:
    assert "".join(part.content for part in client(ECHO).stream(TEXT)) == TEXT


def tools() -> None:
    call = client(ECHO).bind_tools([look]).invoke(CALL).tool_calls[0]
    assert (call["name"], call["args"]) == ("look", {"at": "sky"})


def schema() -> None:
    limit = {"max_tokens": 60} if sys.argv[1] == "openai" else {"num_predict": 60}
    assert is_city(client(MODEL, **limit).with_structured_output(CITY, method="json_schema").invoke(QUESTION))


run(whole, stream, tools, schema)
