"""What the tests of OpenAI's dialect have in common: the models' daemons, and streams put together again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
from openai.types.chat import ChatCompletionChunk

from daemon_process import Daemon

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of the next days",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 12},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
LIGHT: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "set_light",
        "parameters": {
            "type": "object",
            "properties": {"on": {"type": "boolean"}},
            "required": ["on"],
            "additionalProperties": False,
        },
    },
}


class Model:
    """A ready daemon with one model, and OpenAI's client for it."""

    def __init__(self, name: str, package: Path, daemon: Daemon) -> None:
        self.name = name
        self.package = package
        self.daemon = daemon
        self.client = openai.OpenAI(
            base_url=f"http://127.0.0.1:{daemon.port}/v1", api_key="none", max_retries=0, timeout=300
        )

    @property
    def thinks(self) -> bool:
        """Whether its answers begin with a thought."""
        return self.name == "youtu-nano"

    def ask(self, messages: str | list[Any], **more: Any) -> Any:
        """A greedy answer unless told otherwise; `extra` is what the client's types do not know."""
        return self.client.chat.completions.create(**self._request(messages, more))

    def stream(self, messages: str | list[Any], **more: Any) -> list[Streamed]:
        """The same, streamed and put together, one for each of `n`."""
        return put_together(self.client.chat.completions.create(stream=True, **self._request(messages, more)))

    @property
    def is_trained(self) -> bool:
        """Whether its weights are not random."""
        return self.name in ("smollm2", "youtu-nano")

    @property
    def strips_first_space(self) -> bool:
        """Whether its tokenizer writes a space before the first word, which an answer loses."""
        return self.name in ("tinyllama", "chatglm")

    def token(self, text: str) -> int:
        """The id of a text that is one token; with a space before it, behind a full stop."""
        lead = "." if text.startswith(" ") else ""  # a separate text may begin with a space anyway
        tokens = self.daemon.post("/tokenize", {"content": f"{lead}{text}"})[1]["tokens"]
        assert self.daemon.post("/detokenize", {"tokens": tokens[:-1]})[1]["content"] == lead
        return int(tokens[-1])

    def token_of_tag(self, tag: str) -> int:
        """The id of a token that no text of a user becomes."""
        vocabulary = json.loads((self.package / "tokenizer.json").read_text())["added_tokens"]
        return next(int(token["id"]) for token in vocabulary if token["content"] == tag)

    def _request(self, messages: str | list[Any], more: dict[str, Any]) -> dict[str, Any]:
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        extra = more.pop("extra", {})
        known = {"model": "default", "messages": messages, "temperature": 0, "max_tokens": 24}
        return {**known, **more, "extra_body": extra}


class Streamed:
    """One choice of a streamed answer."""

    def __init__(self) -> None:
        self.content, self.thought, self.reason = "", "", ""
        self.calls: list[dict[str, str]] = []
        self.argument_pieces = 0
        self.logprobs: list[Any] = []

    def add(self, choice: Any) -> None:
        """Take over a chunk's choice."""
        delta = choice.delta
        assert not self.reason, "nothing follows the finish reason"
        self.content += delta.content or ""
        self.thought += getattr(delta, "reasoning_content", None) or ""
        self.reason = choice.finish_reason or ""
        self.logprobs += choice.logprobs.content if choice.logprobs else []
        for call in delta.tool_calls or ():
            if call.id:
                assert call.index == len(self.calls)
                assert call.type == "function"
                self.calls.append({"id": call.id, "name": call.function.name, "arguments": ""})
            else:
                self.argument_pieces += 1
                assert call.index == len(self.calls) - 1
            self.calls[call.index]["arguments"] += call.function.arguments


def put_together(chunks: Iterable[ChatCompletionChunk]) -> list[Streamed]:
    """The choices of a stream by their index."""
    choices: dict[int, Streamed] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            choices.setdefault(choice.index, Streamed()).add(choice)
    return [choices[index] for index in range(len(choices))]


@contextmanager
def serve(name: str, package: Path, directory: Path) -> Iterator[Model]:
    """A daemon that is ready, for as long as the block lasts."""
    with Daemon(package, directory) as daemon:
        daemon.wait_ready(120)
        model = Model(name, package, daemon)
        with model.client:
            yield model
