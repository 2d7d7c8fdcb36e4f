"""What every generating route does first: checks the model's name and the answer's limit, and builds the request."""

from __future__ import annotations

import secrets

from youtu_edge.config import GenerationConfig
from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.admission.sampling import SamplingFields, sampling_params
from youtu_edge.front.admission.served_model import CurrentModel, ServedModel
from youtu_edge.front.http.board import Board
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.front.keys.caller import CALLER
from youtu_edge.request_errors import InvalidRequestError, ModelNotFoundError

_ID_BYTES = {"-": 12, "_": 16}
"""Random bytes of an id, by the last character of its prefix: as many as in the API that the prefix belongs to."""
_HIGHEST = 7
"""RFC 9218 counts urgency down to 0, the scheduler counts priority up."""


class Intake:
    """Builds requests for the served model."""

    def __init__(self, generation: GenerationConfig, admission: Admission, model: CurrentModel, board: Board) -> None:
        self._board = board
        self._generation = generation
        self.admission = admission
        self._model = model

    def configure(self, generation: GenerationConfig) -> None:
        """Use other defaults from the next request on."""
        self._generation = generation

    @property
    def model(self) -> ServedModel:
        """The served model. Valid after admission, which rejects requests until a model is ready."""
        model = self._model.value
        assert model is not None, "the request was not admitted"
        return model

    def check_name(self, requested: str | None) -> None:
        """Raises ModelNotFoundError unless the request names the served model, `default`, an alias or none."""
        if requested is not None and not self.model.is_called(requested):
            raise ModelNotFoundError(
                f"model: {requested[:100]!r} is not served here; use {self.model.name!r}", param="model"
            )

    def max_new_tokens(self, field: str, requested: int | None) -> int:
        """The limit of the answer. Raises InvalidRequestError naming `field` where it exceeds the context."""
        context = self.model.context_length
        if requested is None:
            return min(self._generation.max_new_tokens, context)
        if requested > context:
            raise InvalidRequestError(f"{field}: {requested} exceeds the context of {context} tokens", param=field)
        return requested

    def submit(
        self, prefix: str, fields: SamplingFields, max_new_tokens: int, stop: str | list[str] | None = None
    ) -> GenerationRequest:
        """A request with a new id after `prefix`; the caller adds messages or prompt, and what else its dialect has."""
        urgency = CALLER.get().urgency
        sampling = sampling_params(fields, self._generation, self.model.recommendation)
        return GenerationRequest(
            id=f"{prefix}{secrets.token_hex(_ID_BYTES[prefix[-1]])}{self._board.id_suffix}",
            sampling=sampling,
            is_repeatable=sampling.temperature == 0 or fields.seed is not None,
            max_new_tokens=max_new_tokens,
            punctuation=fields.punctuation or self._generation.punctuation,
            stop=list(self._generation.stop) if stop is None else [stop] if isinstance(stop, str) else stop,
            is_default_stop=stop is None,
            keeps_stop=self._generation.keep_stop,
            priority=_HIGHEST - (self._generation.priority if urgency is None else urgency),
        )
