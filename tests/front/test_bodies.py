"""What a client is told of a body that does not fit its type."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from youtu_edge.errors import InvalidRequestError
from youtu_edge.front.http.bodies import decode_body, decode_query
from youtu_edge.front.messages.request import MessagesBody
from youtu_edge.front.messages.routes import MessagesQuery
from youtu_edge.front.openai.chat_request import ChatBody
from youtu_edge.front.responses.request import ResponsesBody

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}


def refusal(kind: type[msgspec.Struct], body: dict[str, Any]) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        decode_body(msgspec.json.encode(body), kind, {})
    return caught.value


@pytest.mark.parametrize(
    ("kind", "body", "param", "message"),
    [
        (ChatBody, ASKED | {"tool_choice": "maybe"}, "tool_choice", "must be auto or none or required, not 'maybe'"),
        (ChatBody, ASKED | {"tools": [{"type": "x"}]}, "tools[0].type", "must be function, not 'x'"),
        (ResponsesBody, {"input": "", "include": ["x"]}, "include[0]", "must be message.output_text.logprobs, not 'x'"),
        (
            ChatBody,
            ASKED | {"response_format": {"type": "yaml"}},
            "response_format.type",
            "must be json_object or json_schema or text, not 'yaml'",
        ),
        (
            MessagesBody,
            {"max_tokens": 1, "messages": [{"role": "robot", "content": ""}]},
            "messages[0].role",
            "must be assistant or user, not 'robot'",
        ),
        (
            MessagesBody,
            ASKED | {"max_tokens": 1, "tool_choice": {"type": "maybe"}},
            "tool_choice.type",
            "must be any or auto or none or tool, not 'maybe'",
        ),
    ],
)
def test_a_word_that_does_not_exist_is_answered_with_those_that_do(
    kind: type[msgspec.Struct], body: dict[str, Any], param: str, message: str
) -> None:
    error = refusal(kind, body)
    assert (error.param, str(error)) == (param, f"{param}: {message}")


def test_a_long_wrong_word_is_not_sent_back_whole() -> None:
    assert len(str(refusal(ChatBody, ASKED | {"tool_choice": "x" * 100_000}))) < 200


def test_a_query_parameter_is_refused_in_the_same_way() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode_query({"beta": "perhaps"}, MessagesQuery)
    assert str(caught.value).startswith("beta: ")
