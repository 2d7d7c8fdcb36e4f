"""`youtu-edge bench`: how fast the running daemon answers on this device, as a client sees it.

    prompt   a conversation of about N tokens that is in no cache, one token of answer: seconds to that token
    decode   an answer to a short question: tokens / time between the first and the last of them
    streams  several such answers at once, together

Every figure is the median of the rounds. A request of somebody else in between makes them slower: that is said, not hidden.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from youtu_edge.cli.configured_client import configured_client
from youtu_edge.cli.daemon_client import DaemonClient
from youtu_edge.errors import EXIT_OK, YoutuEdgeError

PROMPTS = (128, 512)
"""Tokens."""
_QUESTION = "Tell me a very long story about a river, a mountain and the people between them."
_WORDS = ("time", "people", "water", "house", "small", "world", "right", "place", "great", "still", "hand", "night")
_TIMEOUT_S = 600.0


class Timed(NamedTuple):
    """One answer; seconds since the request was sent."""

    first_s: float
    last_s: float
    prompt_tokens: int
    computed_tokens: int
    """Of the prompt, without those that were in the cache."""
    tokens: int


def run(config_file: str | None, options: argparse.Namespace) -> int:
    """Measure and print a table, or with --json one document. Raises YoutuEdgeError."""
    client = configured_client(config_file, options)
    before = _status(client)
    if not before.get("model"):
        raise YoutuEdgeError(f"{client.url}: no model is ready; `youtu-edge status` says why")
    measurement = Measurement(client, before["model"]["context_length"], options.rounds)
    document = {"daemon": _daemon(client.url, before), **measurement.run(options.streams, options.tokens)}
    computed = _computed(_status(client)) - _computed(before)
    ours = sum(each.computed_tokens + each.tokens - 1 for each in measurement.answers)
    document["disturbed"] = before["unfinished_requests"] > 0 or computed > ours
    if document["disturbed"]:
        print("youtu-edge: the daemon had other requests meanwhile: the figures are too low", file=sys.stderr)
    print(json.dumps(document, ensure_ascii=False, indent=2) if options.json else "\n".join(_table(document)))
    return EXIT_OK


def ask(client: DaemonClient, messages: list[dict[str, str]], max_tokens: int) -> Timed:
    """Stream an answer of exactly `max_tokens`. Raises YoutuEdgeError with what the daemon says."""
    body = {
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    begun = time.perf_counter()
    with client.request("POST", "/v1/chat/completions", body, timeout_s=_TIMEOUT_S) as answer:
        # Read now, parse later: this process shares the cores with the daemon.
        received = [(time.perf_counter() - begun, line) for line in answer]
    first = last = 0.0
    usage: dict[str, Any] = {}
    for at, line in received:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise YoutuEdgeError(str(event["error"].get("message", event["error"])))
        usage = event.get("usage") or usage
        for choice in event.get("choices", ()):
            if any(choice["delta"].get(name) for name in ("content", "reasoning_content", "tool_calls")):
                first, last = first or at, at
            elif choice.get("finish_reason"):
                first, last = first or at, last or at  # of a part of a character there is no text
    if not usage:
        raise YoutuEdgeError(f"{client.url}: the answer has no usage; is it that of youtu-edge?")
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Timed(first, last, usage["prompt_tokens"], usage["prompt_tokens"] - cached, usage["completion_tokens"])


def _computed(status: dict[str, Any]) -> int:
    """Tokens that the engine has computed: the first one of an answer comes with its prompt."""
    return int(status["engine"]["prefill_tokens"] + status["engine"]["decode_tokens"])


def _status(client: DaemonClient) -> dict[str, Any]:
    with client.request("GET", "/v1/status", timeout_s=10.0) as answer:
        return dict(json.load(answer))


class Measurement:
    """Asks the daemon, and keeps every answer."""

    def __init__(self, client: DaemonClient, context: int, rounds: int) -> None:
        """`context`: of the model, in tokens."""
        self._client, self._context, self._rounds = client, context, rounds
        self._chance = random.Random()
        self.answers: list[Timed] = []

    def run(self, streams: int, tokens: int) -> dict[str, Any]:
        """`streams` at once after one alone, answers of `tokens` tokens."""
        self._ask("Hello.", 2)  # maps the weights
        tokens = min(tokens, self._context // 4)
        return {
            "rounds": self._rounds,
            "prompts": [self._prompts(count) for count in PROMPTS if count + 32 <= self._context],
            "decode": {"tokens": tokens, "tokens_per_s": self._together(1, tokens)},
            "streams": {"count": streams, "tokens": tokens, "tokens_per_s": self._together(streams, tokens)},
        }

    def _ask(self, text: str, tokens: int) -> Timed:
        self.answers.append(ask(self._client, [{"role": "user", "content": text}], tokens))
        return self.answers[-1]

    def _prompts(self, tokens: int) -> dict[str, Any]:
        words = tokens // 8  # of the longest tokens that a tokenizer makes of them
        for _ in range(4):
            found = self._prompt(words).prompt_tokens
            if abs(found - tokens) <= tokens // 50:
                break
            words = max(1, words * tokens // found)
        timed = [self._prompt(words) for _ in range(self._rounds)]
        return {
            "tokens": timed[0].prompt_tokens,
            "first_token_s": statistics.median(each.first_s for each in timed),
            "tokens_per_s": statistics.median(each.computed_tokens / each.first_s for each in timed),
        }

    def _prompt(self, words: int) -> Timed:
        return self._ask(" ".join(self._chance.choices(_WORDS, k=words)), 1)

    def _together(self, count: int, tokens: int) -> float:
        """Tokens per second of `count` answers at once, after the first token of the first."""
        rates = []
        for _ in range(self._rounds):
            number = self._chance.randrange(10**9)
            with ThreadPoolExecutor(count) as pool:
                parts = [f"{_QUESTION} Chapter {number}, part {part}." for part in range(count)]
                answers = list(pool.map(lambda part: self._ask(part, tokens), parts))
            seconds = max(each.last_s for each in answers) - min(each.first_s for each in answers)
            rates.append(sum(each.tokens - 1 for each in answers) / seconds if seconds > 0 else 0.0)
        return statistics.median(rates)


def _daemon(url: str, status: dict[str, Any]) -> dict[str, Any]:
    device = status.get("device") or {}
    return {
        "url": url,
        "version": status["version"],
        "model": status["model"]["name"],
        "package": (status.get("package") or {}).get("id"),
        "device": device.get("name"),
    }


def _table(document: dict[str, Any]) -> Iterator[str]:
    daemon = document["daemon"]
    yield f"{daemon['model']} on {daemon['device']}, youtu-edge {daemon['version']} at {daemon['url']}"
    for prompt in document["prompts"]:
        first, rate = prompt["first_token_s"], prompt["tokens_per_s"]
        yield f"prompt of {prompt['tokens']} tokens".ljust(26) + f"{rate:8.1f} tokens/s, first token after {first:.2f} s"
    for row, count in ((document["decode"], 1), (document["streams"], document["streams"]["count"])):
        name = f"{count} stream{'s' if count > 1 else ''} of {row['tokens']} tokens"
        yield name.ljust(26) + f"{row['tokens_per_s']:8.1f} tokens/s{' together' if count > 1 else ''}"
