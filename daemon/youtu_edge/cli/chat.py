"""`youtu-edge chat`: a conversation in the terminal, streamed. With a pipe as input, one question per line.

The model's thoughts are dimmed in a terminal, and left out of pipes and files.

Uses only the standard library, so that it starts at once on a small board.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from youtu_edge.errors import UnavailableError, YoutuEdgeError

_HELP = "/clear starts over, /exit leaves, Ctrl-C stops an answer"
_TIMEOUT_S = 60.0  # the daemon sends a comment every 10 s while it works


def run(url: str, system: str, key_file: str | None = None, ca_file: str | None = None) -> int:
    """Run the conversation until /exit or the end of input. Raises YoutuEdgeError when the daemon cannot be reached at all.

    The key comes from a file, because other users of the machine can read a command line.
    """
    conversation = Conversation(url, system, _read_key(key_file) if key_file else "", ca_file)
    interactive = sys.stdin.isatty()
    if interactive:
        with contextlib.suppress(ImportError):  # line editing and history
            import readline  # noqa: F401
        print(f"{conversation.model_name()} at {url}. {_HELP}.")
    for question in _questions(interactive):
        if question == "/exit":
            break
        if question == "/clear":
            conversation.clear()
            continue
        try:
            _print_answer(conversation.ask(question))
        except KeyboardInterrupt:
            print(" [stopped]", end="")
        except YoutuEdgeError as error:
            if not interactive:
                raise
            print(f"youtu-edge: {error.message}", file=sys.stderr, end="")
        print("\n" if interactive else "", flush=True)
    return 0


class Piece(NamedTuple):
    """A part of an answer, or of the thoughts before it."""

    text: str
    is_thought: bool


class Conversation:
    """The messages so far, and the daemon that they are sent to."""

    def __init__(self, url: str, system: str, key: str = "", ca_file: str | None = None) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise YoutuEdgeError(f"{url!r} is not a URL; write http://HOST:PORT")
        self._tls = _trust(ca_file) if parts.scheme == "https" else None
        self._url = url
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._system = system
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._messages: list[dict[str, str]] = []
        self.clear()

    def clear(self) -> None:
        """Forget everything but the system message."""
        self._messages = [{"role": "system", "content": self._system}] if self._system else []

    def model_name(self) -> str:
        """The name of the served model."""
        with self._request("GET", "/v1/models") as answer:
            models = json.load(answer)["data"]
        return str(models[0]["id"]) if models else "youtu-edge, still loading its model,"

    def ask(self, question: str) -> Iterator[Piece]:
        """The answer, piece by piece; if the caller stops early, what was received stays in the conversation.

        Thoughts are not kept: templates omit those of earlier turns.
        """
        messages = [*self._messages, {"role": "user", "content": question}]
        received: list[str] = []
        try:
            with self._request("POST", "/v1/chat/completions", {"messages": messages, "stream": True}) as answer:
                for chunk in _events(answer):
                    if "error" in chunk:
                        raise YoutuEdgeError(chunk["error"]["message"])
                    for choice in chunk["choices"]:
                        if thought := choice["delta"].get("reasoning_content"):
                            yield Piece(thought, is_thought=True)
                        if text := choice["delta"].get("content"):
                            received.append(text)
                            yield Piece(text, is_thought=False)
        finally:
            if received:
                self._messages = [*messages, {"role": "assistant", "content": "".join(received)}]

    @contextlib.contextmanager
    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Iterator[http.client.HTTPResponse]:
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT_S, context=self._tls)
            if self._tls
            else http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        )
        try:
            connection.request(method, path, body=json.dumps(body) if body else None, headers=self._headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise YoutuEdgeError(_message(answer))
            yield answer
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError(f"no answer from {self._url}: {reason}; is the daemon running?") from None
        finally:
            connection.close()


def _print_answer(pieces: Iterator[Piece]) -> None:
    terminal = sys.stdout.isatty()
    faint, normal = ("\x1b[2m", "\x1b[22m") if os.environ.get("TERM", "dumb") != "dumb" else ("", "")
    thinking = False
    try:
        for text, is_thought in pieces:
            if is_thought and not terminal:
                continue
            if is_thought != thinking:
                print(faint if is_thought else f"{normal}\n\n", end="")
                thinking = is_thought
            print(text, end="", flush=True)
    finally:
        if thinking:
            print(normal, end="")


def _trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise YoutuEdgeError(f"{ca_file}: cannot be read as a certificate: {error.strerror or error}") from None


def _read_key(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise YoutuEdgeError(f"{path}: cannot be read as a key: {getattr(error, 'strerror', None) or error}") from None


def _questions(interactive: bool) -> Iterator[str]:
    while True:
        try:
            question = input("> " if interactive else "").strip()
        except EOFError:
            if interactive:
                print()
            return
        except KeyboardInterrupt:  # at the prompt: drop the line, as shells do
            if not interactive:
                raise
            print()
            continue
        if question:
            yield question


def _events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The JSON of every event until [DONE]; comments and empty lines separate them."""
    for raw in answer:
        field, _, data = raw.decode("utf-8").strip().partition(": ")
        if field != "data":
            continue
        if data == "[DONE]":
            return
        yield json.loads(data)
    raise http.client.HTTPException("the connection ended in the middle of the answer")


def _message(answer: http.client.HTTPResponse) -> str:
    try:
        return str(json.load(answer)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the daemon answered with status {answer.status}"
