"""Opens the generations of all dialects, durable or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from aiohttp import web

from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.answers.generation_stream import GenerationStream, numbered
from youtu_edge.front.durable.durable_requests import DurableRequests
from youtu_edge.front.durable.headers import durability
from youtu_edge.front.http.durability import KEY_HEADER
from youtu_edge.front.http.sse import EventNumbers
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.request_errors import UnsupportedParameterError


class Generations:
    """`body` is always the HTTP request's, as received: requests with the same key must have the same body."""

    def __init__(self, admission: Admission, durable: DurableRequests) -> None:
        self._admission = admission
        self._durable = durable

    @contextmanager
    def open(
        self,
        request: web.Request,
        body: bytes,
        submit: GenerationRequest,
        *,
        user: str | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Iterator[GenerationStream]:
        """Admit a request for the duration of the block; a durable one continues after it. Raises as `Admission.open`."""
        if (wanted := durability(request)) is not None:
            follower = self._durable.begin(wanted, body, submit)
            yield GenerationStream(follower, names, EventNumbers(next=1, seen=wanted.last_event))
            return
        active = self._admission.open(submit)
        active.user = user
        try:
            yield GenerationStream(active, names)
        finally:  # also when the client left: aiohttp cancels the handler
            self._admission.close(active)

    @contextmanager
    def open_all(
        self,
        request: web.Request,
        body: bytes,
        submits: Sequence[GenerationRequest],
        *,
        user: str | None = None,
        names: Sequence[Mapping[str, str]] | None = None,
    ) -> Iterator[list[GenerationStream]]:
        """Admit several requests for the duration of the block, all or none. `names`: see GenerationStream."""
        called = names or [{}] * len(submits)
        if len(submits) > 1 and durability(request) is not None:
            param = "n" if called[0] == called[-1] else "prompt"
            raise UnsupportedParameterError(f"{KEY_HEADER}: only for a request with one prompt and one answer", param=param)
        with ExitStack() as stack:
            yield [
                stack.enter_context(self.open(request, body, submit, user=user, names=own))
                for submit, own in zip(numbered(submits), called, strict=True)
            ]
