"""The type of all handlers that generate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.durable.generations import Generations
from youtu_edge.front.http.bodies import Body, decode_body
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.field_table import FieldTable


class GeneratingHandlers:
    """The handlers of one dialect; a dialect adds its routes, and to the constructor what only it needs."""

    def __init__(self, intake: Intake, generations: Generations, bodies: BodyReader) -> None:
        self._intake = intake
        self._generations = generations
        self._bodies = bodies

    async def _read(
        self,
        request: web.Request,
        kind: type[Body],
        others: FieldTable,
        tidy: Callable[[dict[str, Any]], None] | None = None,
    ) -> tuple[bytes, Body]:
        """The body as received and as decoded. A request that would not be admitted is rejected before its body is read.

        Raises as `Admission.check`, `BodyReader.read` and `decode_body`.
        """
        self._intake.admission.check()
        raw = await self._bodies.read(request)
        return raw, decode_body(raw, kind, others, tidy)
