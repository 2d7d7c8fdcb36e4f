"""The handlers of Ollama's API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from youtu_edge import __version__
from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.admission.served_model import CurrentModel
from youtu_edge.front.answers.answer_stream import complete, stream_answers
from youtu_edge.front.dialects.common.handlers import GeneratingHandlers
from youtu_edge.front.dialects.ollama import catalog
from youtu_edge.front.dialects.ollama.request import (
    FIELDS,
    NAMES,
    SHOW_FIELDS,
    OllamaChatBody,
    OllamaFields,
    OllamaGenerateBody,
    OllamaShowBody,
    chat_request,
    check_model,
    generate_request,
)
from youtu_edge.front.dialects.ollama.response import (
    OllamaChatAnswer,
    OllamaError,
    OllamaGenerateAnswer,
    chat_answer,
    generate_answer,
    ollama_error,
)
from youtu_edge.front.dialects.ollama.writer import AnswerWriter, Form, loaded
from youtu_edge.front.durable.generations import Generations
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.ndjson import open_lines
from youtu_edge.front.http.route import Route
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.from_engine import Ready
from youtu_edge.request_errors import InvalidRequestError, NotOfferedError

_route = partial(Route, error=OllamaError, error_form=ollama_error)


class OllamaHandlers(GeneratingHandlers):
    """The routes of Ollama's API."""

    def __init__(
        self,
        intake: Intake,
        generations: Generations,
        bodies: BodyReader,
        model: CurrentModel,
        ready: Callable[[], Ready | None],
    ) -> None:
        """`ready`: what the engine reported when it was, None while none is."""
        super().__init__(intake, generations, bodies)
        self._model = model
        self._ready = ready

    def routes(self) -> list[Route]:
        """Models, answers, and what is not offered."""
        return [
            _route("GET", "/api/version", self.version, answer=catalog.OllamaVersion),
            _route("GET", "/api/tags", self.tags, answer=catalog.OllamaModelList),
            _route("GET", "/api/ps", self.ps, answer=catalog.OllamaRunningList),
            _route(
                "POST",
                "/api/show",
                self.show,
                body=OllamaShowBody,
                others=SHOW_FIELDS,
                answer=catalog.OllamaModelInfo,
                queries=True,
            ),
            self._generating("/api/chat", self.chat, OllamaChatBody, OllamaChatAnswer),
            self._generating("/api/generate", self.generate, OllamaGenerateBody, OllamaGenerateAnswer),
            *(
                _route("POST", f"/api/{name}", self.manage, answer=None, is_offered=False)
                for name in ("pull", "push", "create", "copy")
            ),
            _route("DELETE", "/api/delete", self.manage, answer=None, is_offered=False),
            *(
                _route("POST", f"/api/{name}", self.embed, answer=None, is_offered=False)
                for name in ("embed", "embeddings")
            ),
        ]

    def _generating(self, path: str, handler: Any, body: type, answer: type) -> Route:
        return _route(
            "POST", path, handler, body=body, others=FIELDS, answer=answer, lines=answer, generates=True, takes_key=False
        )

    async def version(self, request: web.Request) -> web.Response:
        """GET /api/version: the version of Ollama's API, and that of the daemon."""
        return json_response(catalog.OllamaVersion(catalog.API_VERSION, __version__))

    async def tags(self, request: web.Request) -> web.Response:
        """GET /api/tags: the model that is served, as Ollama lists it; an empty list while it loads."""
        return json_response(catalog.OllamaModelList(catalog.listed(self._model)))

    async def ps(self, request: web.Request) -> web.Response:
        """GET /api/ps: the model in memory."""
        return json_response(catalog.OllamaRunningList(catalog.running(self._model, self._ready())))

    async def show(self, request: web.Request) -> web.Response:
        """POST /api/show: template, parameters and capabilities of the model."""
        _, body = await self._read(request, OllamaShowBody, SHOW_FIELDS)
        if body.model and body.name and body.model != body.name:
            raise InvalidRequestError("model and name differ; give one of them", param="model")
        check_model(self._intake, body.model or body.name)
        return json_response(catalog.shown(self._model, self._intake.model))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat: Ollama's chat, streamed as lines of JSON unless `stream` is false."""
        raw, body = await self._read(request, OllamaChatBody, FIELDS)
        check_model(self._intake, body.model)
        submit = chat_request(self._intake, body)
        return await self._answer(request, raw, body, submit if body.messages else None, chat_answer, NAMES)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """POST /api/generate: one prompt, one answer, streamed as lines of JSON unless `stream` is false."""
        raw, body = await self._read(request, OllamaGenerateBody, FIELDS)
        check_model(self._intake, body.model)
        submit = generate_request(self._intake, body)
        names = {**NAMES, "messages": "prompt"}
        is_asked = bool(body.prompt or body.suffix)
        return await self._answer(request, raw, body, submit if is_asked else None, generate_answer, names)

    async def manage(self, request: web.Request) -> web.Response:
        """Rejected: packages are made with youtu-export and installed with youtu-edge model install."""
        raise NotOfferedError(
            f"{request.path} is not offered: make a package with youtu-export on a computer, and install it on the device "
            "with youtu-edge model install"
        )

    async def embed(self, request: web.Request) -> web.Response:
        """Rejected: the served model generates text and computes no embeddings."""
        raise NotOfferedError(
            f"{request.path} is not offered: this daemon computes no embeddings; ask an embedding model on another server"
        )

    async def _answer(
        self,
        request: web.Request,
        raw: bytes,
        body: OllamaFields,
        submit: GenerationRequest | None,
        form: Form,
        names: Mapping[str, str],
    ) -> web.StreamResponse:
        """`submit` None: there is nothing to answer, the client only wants the model loaded."""
        name = body.model or self._intake.model.name
        if submit is None:
            return json_response(loaded(name, form))
        writer = AnswerWriter(name, form)
        with self._generations.open(request, raw, submit, names=names) as generation:
            if body.stream:
                return await stream_answers(request, [generation], writer, open_lines)
            await complete(generation, writer)
            return json_response(writer.answer, generation.id)
