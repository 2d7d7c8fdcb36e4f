"""What clients of llama.cpp's server ask before they send anything, in its form."""

from __future__ import annotations

from typing import Literal

import msgspec
from aiohttp import web

from youtu_edge import __version__
from youtu_edge.errors import UnavailableError
from youtu_edge.front.admission.served_model import CurrentModel
from youtu_edge.front.http.error_body import ErrorDocument, error_response
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.route import Route
from youtu_edge.front.status.readiness import Readiness


class Health(msgspec.Struct):
    """Answer of GET /health."""

    status: Literal["ok"] = "ok"


class SlotSettings(msgspec.Struct):
    """What holds for every request."""

    n_ctx: int
    """Tokens that prompt and answer may have together."""


class Modalities(msgspec.Struct, frozen=True):
    """What the model reads besides text."""

    vision: Literal[False] = False
    audio: Literal[False] = False


class ServerProperties(msgspec.Struct, kw_only=True):
    """Answer of GET /props: the part of llama.cpp's document that exists here."""

    default_generation_settings: SlotSettings
    total_slots: int
    """Requests that are computed together."""
    model_alias: str
    chat_template: str
    """Jinja."""
    modalities: Modalities = Modalities()
    build_info: str = f"youtu-edge {__version__}"


class ProbeHandlers:
    """The probes. They are no requests that the daemon rejects, and are not counted as such."""

    def __init__(self, readiness: Readiness, model: CurrentModel, max_sequences: int) -> None:
        self._readiness = readiness
        self._model = model
        self._max_sequences = max_sequences

    def routes(self) -> list[Route]:
        """Health and properties."""
        return [
            Route("GET", "/health", self.health, answer=Health, scope=None, errors={503: ErrorDocument}),
            Route("GET", "/props", self.props, answer=ServerProperties, errors={503: ErrorDocument}),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """GET /health: what /readyz says, as JSON."""
        if obstacle := self._readiness.obstacle():
            return error_response(UnavailableError(obstacle))
        return json_response(Health())

    async def props(self, request: web.Request) -> web.Response:
        """GET /props: context, batch and chat template of the loaded model."""
        model = self._model.value
        if model is None:
            return error_response(UnavailableError("no model is loaded yet"))
        return json_response(
            ServerProperties(
                default_generation_settings=SlotSettings(model.context_length),
                total_slots=self._max_sequences,
                model_alias=model.name,
                chat_template=self._model.template(),
            )
        )
