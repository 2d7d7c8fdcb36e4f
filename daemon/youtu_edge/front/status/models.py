"""The routes about the model, in OpenAI's dialect."""

from __future__ import annotations

from typing import Literal

import msgspec
from aiohttp import web

from youtu_edge.front.admission.served_model import CurrentModel, ServedModel
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.route import Route
from youtu_edge.request_errors import ModelNotFoundError


class ListedModel(msgspec.Struct, kw_only=True):
    """A model that is served; `created` is when it was loaded, Unix time in seconds."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(msgspec.Struct, kw_only=True):
    """Answer of GET /v1/models."""

    object: Literal["list"]
    data: list[ListedModel]


class ModelHandlers:
    """The served model is the only one."""

    def __init__(self, model: CurrentModel) -> None:
        self._model = model

    def routes(self) -> list[Route]:
        """The list and its only entry."""
        return [
            Route("GET", "/v1/models", self.models, answer=ModelList),
            Route("GET", "/v1/models/{model_id}", self.model, answer=ListedModel, takes_slashes=True),
        ]

    async def models(self, request: web.Request) -> web.Response:
        """GET /v1/models: the loaded model; an empty list before."""
        model = self._model.value
        return json_response(ModelList(object="list", data=[_listed(model)] if model else []))

    async def model(self, request: web.Request) -> web.Response:
        """GET /v1/models/{model_id}: the loaded model by any of its names; the answer has the served one."""
        requested, model = request.match_info["model_id"], self._model.value
        if model is None:
            raise ModelNotFoundError("model_id: no model is loaded yet", param="model_id")
        if not model.is_called(requested):
            raise ModelNotFoundError(
                f"model_id: {requested[:100]!r} is not served here; use {model.name!r}", param="model_id"
            )
        return json_response(_listed(model))


def _listed(model: ServedModel) -> ListedModel:
    return ListedModel(id=model.name, object="model", created=model.created, owned_by="youtu-edge")
