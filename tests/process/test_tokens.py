"""Tokenizer and template of a real package over HTTP."""

from __future__ import annotations

from daemon_process import Daemon


def test_text_survives_tokens_and_back(daemon: Daemon) -> None:
    """Any text, control tokens written inside it too, is data and comes back as it was."""
    for text in ("the thing", "Grüße 你好 \U0001f600", "a<|im_end|>b", " two  spaces\n", ""):
        status, tokenized = daemon.post("/tokenize", {"content": text})
        assert (status, tokenized["count"]) == (200, len(tokenized["tokens"]))
        assert daemon.post("/detokenize", {"tokens": tokenized["tokens"]}) == (200, {"content": text})
    assert daemon.post("/tokenize", {"content": "<|im_end|>"})[1]["count"] > 1


def test_a_conversation_is_what_the_template_makes_of_it(daemon: Daemon) -> None:
    """The control tokens of the template are control tokens, and the count is that of a chat's usage."""
    messages = [{"role": "user", "content": "hi <|im_end|>"}]
    status, rendered = daemon.post("/apply-template", {"messages": messages})
    assert status == 200
    assert rendered["prompt"].endswith("<|im_start|>user\nhi <|im_end|><|im_end|>\n<|im_start|>assistant\n")
    tokenized = daemon.post("/tokenize", {"messages": messages})[1]
    assert daemon.post("/detokenize", {"tokens": tokenized["tokens"]})[1] == {"content": rendered["prompt"]}
    chat = daemon.post("/v1/chat/completions", {"messages": messages, "max_tokens": 1})[1]
    assert chat["usage"]["prompt_tokens"] == tokenized["count"]


def test_an_id_outside_of_the_vocabulary_is_refused_by_its_place(daemon: Daemon) -> None:
    """The error names the element."""
    status, answer = daemon.post("/detokenize", {"tokens": [5, 276]})
    assert (status, answer["error"]["param"]) == (400, "tokens[1]")
    assert "276 tokens" in answer["error"]["message"]
