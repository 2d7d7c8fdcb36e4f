"""Clients that use the daemon while everything around it fails, and compare its answers with the expected ones."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import uuid
import zlib
from collections.abc import Callable
from typing import Any

Answer = Callable[[str], str]
"""The undisturbed answer to a prompt."""
FOR_NOW = ("unavailable", "engine_gave_up", "storage_failed")
"""Errors that may end an answer while everything fails: none of them is about the request."""
WORDS = ("river", "mountain", "machine", "light", "stone", "garden", "night", "window")


def asked(prompt: str) -> dict[str, Any]:
    """A request with this prompt: half of them are greedy, the others are sampled with their own seed."""
    seed = zlib.crc32(prompt.encode())
    return {"prompt": prompt, "temperature": seed % 2, "seed": seed}


class WrongAnswerError(AssertionError):
    """A client received something that the daemon must never send."""


class Client(threading.Thread):
    """Sends requests until it is stopped. `problem` describes a wrong answer; `done` counts complete answers."""

    def __init__(self, port: int, prompts: list[str], expected: Answer, seed: int) -> None:
        super().__init__(daemon=True)
        self.port, self.prompts, self.expected = port, prompts, expected
        self.chance = random.Random(seed)
        self.stopping = threading.Event()
        self.problem = ""
        self.done = self.broken = 0

    def run(self) -> None:
        """Until `stopping`; the first wrong answer ends it."""
        try:
            while not self.stopping.is_set():
                self.turn(self.chance.choice(self.prompts))
                time.sleep(0.02)
        except WrongAnswerError as error:
            self.problem = f"{type(self).__name__}: {error}"
        except Exception as error:
            self.problem = f"{type(self).__name__} itself failed: {error!r}"

    def turn(self, prompt: str) -> None:
        """One request, whatever its outcome."""
        raise NotImplementedError

    def open(self, path: str, body: dict[str, Any], **headers: str) -> http.client.HTTPResponse | None:
        """The response if its status is 200; None when the daemon is down, busy or unavailable."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            if answer.status == 200:
                return answer
            text = answer.read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
            return None
        if answer.status not in (429, 500, 503):
            raise WrongAnswerError(f"{path} was answered {answer.status}: {text[:300]!r}")
        time.sleep(0.2)
        return None


def read_events(answer: http.client.HTTPResponse, pause_s: float = 0.0, most: int = 10**9) -> list[tuple[int, str]]:
    """(number, data) of the events up to the end of the connection, however it ends; 0 where they have no number."""
    events: list[tuple[int, str]] = []
    number = 0
    try:
        while len(events) < most and (line := answer.readline()):
            if line.startswith(b"id: "):
                number = int(line[4:])
            elif line.startswith(b"data: ") and line.endswith(b"\n"):
                events.append((number, line[6:].decode().strip()))
                time.sleep(pause_s)
    except (OSError, http.client.HTTPException):
        pass
    finally:
        answer.close()
    return events


def story(events: list[tuple[int, str]]) -> tuple[str, bool, str]:
    """Text, whether it is complete, and the error that ended it, of /chat_stream."""
    documents = [json.loads(data) for _, data in events]
    text = "".join(document.get("text", "") for document in documents)
    errors = [document["error"]["code"] for document in documents if "error" in document]
    return text, any(document.get("done") for document in documents), errors[0] if errors else ""


class Streaming(Client):
    """Reads whole answers; a broken connection leaves a beginning of the right one."""

    pause_s = 0.0
    most = 10**9

    def turn(self, prompt: str) -> None:
        """One answer."""
        answer = self.open("/chat_stream", asked(prompt))
        if answer is None:
            return
        text, is_complete, error = story(read_events(answer, self.pause_s, self.most))
        expected = self.expected(prompt)
        if not expected.startswith(text):
            raise WrongAnswerError(f"{prompt!r} got {text!r} instead of {expected!r}")
        if is_complete and text != expected:
            raise WrongAnswerError(f"{prompt!r} ended early with {text!r}")
        if error not in ("", *FOR_NOW):
            raise WrongAnswerError(f"{prompt!r} ended with the error {error!r}")
        self.done += is_complete
        self.broken += not is_complete


class Slow(Streaming):
    """Reads every event slowly."""

    pause_s = 0.01


class Vanishing(Streaming):
    """Leaves after a few events."""

    @property
    def most(self) -> int:  # type: ignore[override]  # drawn anew for each answer
        """Events until it leaves."""
        return self.chance.randint(1, 40)


class Durable(Client):
    """Retries a durable request until it has finished, then reads all of it again."""

    def __init__(self, port: int, prompts: list[str], expected: Answer, seed: int) -> None:
        super().__init__(port, prompts, expected, seed)
        self.keys: list[str] = []
        self.reconnections = 0

    def turn(self, prompt: str) -> None:
        """One request to completion, even after the other clients have been stopped."""
        key, seen, deadline = (
            str(uuid.UUID(int=self.chance.getrandbits(128))),
            list[tuple[int, str]](),
            time.monotonic() + 240,
        )
        while True:
            headers = {"Idempotency-Key": key} | ({"Last-Event-ID": str(seen[-1][0])} if seen else {})
            answer = self.open("/chat_stream", asked(prompt), **headers)
            most = self.chance.choice((5, 50, 10**9))
            events = read_events(answer, 0.0, most) if answer else []
            if (error := story(events)[2]) not in ("", *FOR_NOW):
                raise WrongAnswerError(f"{prompt!r} ended with the error {error!r}: {events[-1][1]}")
            seen += [event for event in events if '"error"' not in event[1]]
            text, is_complete, _ = story(seen)
            if is_complete:
                break
            if time.monotonic() > deadline:
                raise WrongAnswerError(f"{prompt!r} is not finished after 240 s: {len(seen)} events")
            self.reconnections += 1
        if [number for number, _ in seen] != list(range(1, len(seen) + 1)):
            raise WrongAnswerError(f"events have the numbers {[number for number, _ in seen]}")
        if text != self.expected(prompt):
            raise WrongAnswerError(f"{prompt!r} got {text!r} instead of {self.expected(prompt)!r}")
        self.keys.append(key)
        self.done += 1


class Talking(Client):
    """Holds conversations; every turn whose end it received must stay stored."""

    def __init__(self, port: int, prompts: list[str], expected: Answer, seed: int) -> None:
        super().__init__(port, prompts, expected, seed)
        self.turns: dict[str, list[str]] = {}

    def turn(self, prompt: str) -> None:
        """A turn in one of few conversations."""
        name = f"{self.name}-{self.chance.randint(0, 5)}"
        said = f"{prompt} {uuid.UUID(int=self.chance.getrandbits(128)).hex}"
        answer = self.open("/chat", {**asked(said), "session_id": name, "max_new_tokens": 20})
        if answer is None:
            return
        try:
            document = json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException):
            self.broken += 1
            return
        if document.get("stored"):
            self.turns.setdefault(name, []).append(said)
            self.done += 1
