"""The chat template of every family renders conversations with tools, and switches thinking."""

from __future__ import annotations

import re
from typing import Any

import pytest

from family_templates import TEMPLATES, FamilyTemplate
from tiny_model import make_tokenizer
from youtu_edge.engine.text.prompt import Prompter, PromptError
from youtu_edge.protocol.prompt import ChatMessage, ToolCall

FAMILIES = pytest.mark.parametrize("family", TEMPLATES.values(), ids=TEMPLATES)
PARAMETERS = {"type": "object", "properties": {"on": {"type": "boolean"}, "room": {"type": "string"}}, "required": ["on"]}
LIGHT = {"type": "function", "function": {"name": "light", "description": "Switch a lamp.", "parameters": PARAMETERS}}
CALL = ToolCall("call_0123456789", "light", '{"on": true, "room": "大厅"}')
CONVERSATION = [
    ChatMessage("user", "Dark here."),
    ChatMessage("assistant", "", tool_calls=[CALL], reasoning="They want light."),
    ChatMessage("tool", '"done"', name="light", tool_call_id="call_0123456789"),
]


def prompter_of(family: FamilyTemplate) -> Prompter:
    return Prompter(make_tokenizer(), family.source, variables={"bos_token": "<s>", "eos_token": "</s>"})


def render(family: FamilyTemplate, messages: list[ChatMessage], tools: list[dict[str, Any]], **more: Any) -> str:
    return prompter_of(family).render(messages, more, tools)


@FAMILIES
def test_tools_a_call_and_its_result_are_in_the_prompt(family: FamilyTemplate) -> None:
    """In this order, and the call as the model would write it, but for white space and the ids that Mistral adds."""
    text = render(family, CONVERSATION, [LIGHT])
    form = prompter_of(family).tool_format
    assert form.name == family.form
    call = re.sub(r"\s", "", form.call(CALL.name, CALL.arguments)).replace("True", "true")
    if family.form == "mistral":
        call = call.replace("}}]", '},"id":"')
    dense = re.sub(r"\s", "", text)
    places = [dense.index(part) for part in ("Switchalamp.", call, "done")]
    assert places == sorted(places)
    assert text.index("Dark here.") < text.index("done")
    assert text.endswith((family.opens, "[/TOOL_RESULTS]"))


@FAMILIES
def test_a_plain_conversation_ends_where_the_assistant_begins(family: FamilyTemplate) -> None:
    """With the system's words and without any of tools."""
    said = ["Be brief.", "Hi", "Hello.", "Bye"]
    roles = ["system", "user", "assistant", "user"]
    text = render(family, [ChatMessage(role, content) for role, content in zip(roles, said, strict=True)], [])  # type: ignore[arg-type]
    assert text.endswith(family.opens)
    assert "tool" not in text.lower()
    places = [text.index(part) for part in said[1:]]
    assert places == sorted(places)
    assert "Be brief." in text


@FAMILIES
def test_thinking_is_switched_off_where_there_is_a_switch(family: FamilyTemplate) -> None:
    """To be without thoughts may be asked of every model, to think only of one that can."""
    question = [ChatMessage("user", "Hi")]
    text = render(family, question, [], enable_thinking=False)
    assert text.endswith(family.opens + family.closes_thought)
    assert family.turns_off in text
    if family.can_think:
        assert render(family, question, [], enable_thinking=True) != text
    else:
        with pytest.raises(PromptError, match="enable_thinking: not used by this model's chat template"):
            render(family, question, [], enable_thinking=True)


@pytest.mark.parametrize("name", ["mistral", "gemma3"])
def test_a_template_that_wants_alternating_roles_says_so(name: str) -> None:
    twice = [ChatMessage("user", "Hi"), ChatMessage("user", "Hello?")]
    with pytest.raises(PromptError, match="rejects this conversation: roles must alternate"):
        render(TEMPLATES[name], twice, [])


def test_gemma_takes_results_of_tools_as_turns_of_the_user() -> None:
    """Its roles alternate all the same."""
    more = [ChatMessage("assistant", "It is on."), ChatMessage("user", "Thanks")]
    assert render(TEMPLATES["gemma3"], [*CONVERSATION, *more], [LIGHT]).count("<start_of_turn>user") == 3


def test_llama_writes_one_call_at_a_time() -> None:
    """Its template refuses two, and the words are those that the client gets."""
    messages = [ChatMessage("user", "Dark."), ChatMessage("assistant", "", tool_calls=[CALL, CALL])]
    with pytest.raises(PromptError, match="rejects this conversation: one call at once"):
        render(TEMPLATES["llama"], messages, [LIGHT])
