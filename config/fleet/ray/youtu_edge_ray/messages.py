"""What the ingress and the boards send each other through Ray."""

from __future__ import annotations

from dataclasses import dataclass, field

BOARD = "x-youtu-edge-board"
"""The header that names a board, in requests and answers."""

_OF_ONE_CONNECTION = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
"""RFC 9110, section 7.6.1."""

Headers = list[tuple[str, str]]


def end_to_end(headers: Headers) -> Headers:
    """Without the headers that concern only the connection they came from. Names are in lower case."""
    named = {word.strip().lower() for name, value in headers if name == "connection" for word in value.split(",")}
    return [(name, value) for name, value in headers if name not in _OF_ONE_CONNECTION and name not in named]


@dataclass(frozen=True)
class Relayed:
    """A client's request. `path`: with the query, as it was sent; `headers`: names in lower case."""

    method: str
    path: str
    headers: Headers
    body: bytes

    def header(self, name: str) -> str:
        """The first one, or ""."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def may_be_sent_again(self) -> bool:
        """Whether it may be repeated although a board may have begun it: not so a change of a session."""
        return self.method == "GET" or not self.path.startswith("/v1/sessions/")


@dataclass(frozen=True)
class Destination:
    """Where a request belongs. `board`: what it is about is kept there; `key`: shared by requests that belong together.

    `is_durable`: a repetition that another board answered would be computed again, so it waits for its board.
    `avoided`: boards that rejected the request, or did not answer.
    """

    board: str = ""
    key: str = ""
    is_durable: bool = False
    avoided: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Head:
    """The beginning of an answer; pieces of its body follow as bytes."""

    status: int
    headers: Headers

    @property
    def board(self) -> str:
        """The board that answers."""
        return next((value for name, value in self.headers if name == BOARD), "")


@dataclass(frozen=True)
class Away:
    """Instead of an answer: the daemon of `board` ended. `is_sent`: it may have begun the request."""

    board: str
    is_sent: bool
