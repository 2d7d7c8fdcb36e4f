"""Messages from the front as the engine decodes them: the parameters of a request without its text.

Decoding a 2 MB body can create 100 MB of objects, which the engine has no memory for. The text is passed on undecoded
to the workers that need it (text_workers.py).
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from youtu_edge.encoding import msgpack_bytes
from youtu_edge.protocol.to_engine import Cancel, Narrow, Query, SamplingParams, SetLogLevel, Shed, Shutdown, Start, Submit

_ABSENT, _PRESENT = msgspec.Raw(), msgspec.Raw(b"\xc3")


class IncomingSubmit(msgspec.Struct, tag_field="t", tag="submit", omit_defaults=True):
    """The fields of Submit that the engine needs. `body` is the whole encoded message."""

    id: str
    sampling: SamplingParams
    max_new_tokens: int
    reserve_tokens: int = 1
    messages: msgspec.Raw = _ABSENT
    prompt_tokens: msgspec.Raw = _ABSENT
    grammar: msgspec.Raw = _ABSENT
    tools: msgspec.Raw = _ABSENT
    must_call: msgspec.Raw = _ABSENT
    stop: list[str] = []
    is_default_stop: bool = False
    keeps_stop: bool = False
    priority: int = 0
    ignore_eos: bool = False
    sent_tokens: list[int] = []
    is_suspect: bool = False
    parallel_tool_calls: bool = True
    body: bytes = b""

    @property
    def field(self) -> str:
        """The request's field that holds its text."""
        return "messages" if self.is_chat else "prompt"

    @property
    def is_resumed(self) -> bool:
        """Whether a previous engine process started its answer."""
        return bool(self.sent_tokens)

    @property
    def is_chat(self) -> bool:
        """Whether the prompt is rendered from messages."""
        return bool(self.messages)

    @property
    def is_bound(self) -> bool:
        """Whether the whole answer must match a grammar."""
        return bool(self.grammar or self.must_call)


class IncomingQuery(msgspec.Struct, tag_field="t", tag="query", omit_defaults=True):
    """A Query. `body` is the whole encoded message."""

    id: str
    body: bytes = b""
    is_resumed: ClassVar[bool] = False

    @property
    def field(self) -> str:
        """The field that usually holds the text; the decoded query has the actual one."""
        return "content"


IncomingText = IncomingSubmit | IncomingQuery
Incoming = Start | IncomingSubmit | IncomingQuery | Cancel | Shed | Narrow | SetLogLevel | Shutdown

_DECODER: msgspec.msgpack.Decoder[Incoming] = msgspec.msgpack.Decoder(Incoming)
_WHOLE: msgspec.msgpack.Decoder[Submit | Query] = msgspec.msgpack.Decoder(Submit | Query)


def read(body: bytes) -> Incoming:
    """Decode one message from the front."""
    message = _DECODER.decode(body)
    if isinstance(message, IncomingText):
        message.body = body
    if isinstance(message, IncomingSubmit):
        for name in ("messages", "prompt_tokens", "grammar", "tools", "must_call"):
            if getattr(message, name):
                setattr(message, name, _PRESENT)  # the Raw slice would keep the whole body alive
    return message


def incoming(request: Submit) -> IncomingSubmit:
    """Encode and decode a request as if it had arrived from the front."""
    found = read(msgpack_bytes(request))
    assert isinstance(found, IncomingSubmit)
    return found


def whole(body: bytes) -> Submit | Query:
    """Decode a message with its text."""
    return _WHOLE.decode(body)
