"""The handlers of the chat routes: body -> Submit -> events of the session -> answer.

The status is sent only after `Accepted`, so that a prompt that does not fit is a real 400 and not a broken stream.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec
from aiohttp import web

from youtu_edge.config import Config
from youtu_edge.errors import InternalError, InvalidRequestError, ModelNotFoundError, YoutuEdgeError
from youtu_edge.front import openai, plain
from youtu_edge.front.admission import Admission
from youtu_edge.front.bodies import decode_body
from youtu_edge.front.body_reader import BodyReader
from youtu_edge.front.error_body import error_document, failure
from youtu_edge.front.generation import Recommendation, SamplingFields, sampling_params
from youtu_edge.front.sessions import Session
from youtu_edge.front.sse import KEEPALIVE_S, open_stream
from youtu_edge.protocol import Accepted, ChatMessage, Delta, Failed, Finished, Submit


class ServedModel(msgspec.Struct, frozen=True):
    """What the handlers know about the model once it is ready."""

    name: str
    context_length: int
    created: int
    """Unix time in seconds at which it was loaded."""
    recommendation: Recommendation = Recommendation()


class Writer(Protocol):
    """A dialect's documents of a streamed answer."""

    @property
    def last(self) -> str | None: ...  # noqa: D102 (see openai.ChunkWriter)
    def start(self) -> list[dict[str, Any]]: ...  # noqa: D102 (see openai.ChunkWriter)
    def text(self, text: str) -> list[dict[str, Any]]: ...  # noqa: D102
    def end(self, finished: Finished) -> list[dict[str, Any]]: ...  # noqa: D102


class ChatHandlers:
    """One instance serves all requests. `served_model` is None until the first engine is ready."""

    def __init__(
        self, config: Config, admission: Admission, bodies: BodyReader, served_model: Callable[[], ServedModel | None]
    ) -> None:
        self._generation = config.generation
        self._admission = admission
        self._bodies = bodies
        self._served_model = served_model

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        model = self._model()
        body = decode_body(await self._bodies.read(request), openai.ChatBody, openai.NOT_OFFERED)
        openai.check(body)
        if body.model not in (None, "default", model.name):
            raise ModelNotFoundError(f"model: {body.model[:100]!r} is not served here; {model.name!r} is", param="model")
        field = "max_completion_tokens" if body.max_tokens is None else "max_tokens"
        submit = self._submit(
            "chatcmpl",
            openai.chat_messages(body),
            body,
            self._max_new_tokens(field, body.max_tokens or body.max_completion_tokens, model),
            body.stop,
        )
        submit.ignore_eos = bool(body.ignore_eos)
        include_usage = body.stream_options is not None and body.stream_options.include_usage
        created = int(time.time())
        with self._session(submit, user=body.user) as session:
            if body.stream:
                writer = openai.ChunkWriter(submit.id, created, model.name, include_usage=include_usage)
                return await _stream(request, session, writer)
            text, finished = await _collect(session)
            return _json(openai.completion(submit.id, created, model.name, text, finished))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /chat."""
        with self._session(await self._plain_submit(request)) as session:
            return _json(plain.answer(*await _collect(session)))

    async def chat_stream(self, request: web.Request) -> web.StreamResponse:
        """POST /chat_stream."""
        with self._session(await self._plain_submit(request)) as session:
            return await _stream(request, session, plain.PlainWriter())

    async def _plain_submit(self, request: web.Request) -> Submit:
        model = self._model()
        body = decode_body(await self._bodies.read(request), plain.PlainBody, {})
        limit = self._max_new_tokens("max_new_tokens", body.max_new_tokens, model)
        return self._submit("chat", plain.chat_messages(body), plain.sampling_fields(body), limit, body.stop)

    def _model(self) -> ServedModel:
        """The served model, after a first check that spares the body of a request that cannot be admitted."""
        self._admission.check()
        model = self._served_model()
        assert model is not None, "admission lets nobody in before the engine is ready"
        return model

    def _max_new_tokens(self, field: str, asked: int | None, model: ServedModel) -> int:
        if asked is None:
            return min(self._generation.max_new_tokens, model.context_length)
        if asked > model.context_length:
            raise InvalidRequestError(f"{field}: {asked} exceeds the context of {model.context_length} tokens", param=field)
        return asked

    def _submit(
        self, kind: str, messages: list[ChatMessage], asked: SamplingFields, limit: int, stop: str | list[str] | None
    ) -> Submit:
        model = self._model()
        return Submit(
            id=f"{kind}-{secrets.token_hex(12)}",
            sampling=sampling_params(asked, self._generation, model.recommendation),
            max_new_tokens=limit,
            messages=messages,
            stop=[stop] if isinstance(stop, str) else stop or [],
        )

    @contextmanager
    def _session(self, submit: Submit, user: str | None = None) -> Iterator[Session]:
        session = self._admission.open(submit)
        session.user = user
        try:
            yield session
        finally:  # also when the client left: aiohttp cancels the handler
            self._admission.close(session)


async def _accepted(session: Session) -> None:
    """Wait until the prompt was found to fit. Raises what the engine answered otherwise."""
    event = await session.events.get()
    if isinstance(event, Failed):
        raise failure(event)
    assert isinstance(event, Accepted), "the first event of a session tells whether it runs"


async def _outputs(session: Session) -> AsyncIterator[str | Finished | None]:
    """Texts, then one Finished; None after every KEEPALIVE_S of silence. Raises what ended the request otherwise."""
    while True:
        try:
            async with asyncio.timeout(KEEPALIVE_S):
                event = await session.events.get()
        except TimeoutError:
            yield None
            continue
        if isinstance(event, Failed):
            raise failure(event)
        if isinstance(event, Finished):
            yield event
            return
        if isinstance(event, Delta):
            yield event.text


async def _collect(session: Session) -> tuple[str, Finished]:
    await _accepted(session)
    texts: list[str] = []
    async for output in _outputs(session):
        if isinstance(output, str):
            texts.append(output)
        elif output is not None:
            return "".join(texts), output
    raise InternalError("the answer has no end")


async def _stream(request: web.Request, session: Session, writer: Writer) -> web.StreamResponse:
    await _accepted(session)
    stream = await open_stream(request)
    try:
        await stream.send(writer.start())
        async for output in _outputs(session):
            if output is None:
                await stream.keep_alive()
            elif isinstance(output, str):
                await stream.send(writer.text(output))
            else:
                await stream.send([*writer.end(output), *([writer.last] if writer.last else [])])
    except YoutuEdgeError as error:  # the status is long sent; the error is the last event
        await stream.send([error_document(error)])
    await stream.response.write_eof()
    return stream.response


def _json(document: dict[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
