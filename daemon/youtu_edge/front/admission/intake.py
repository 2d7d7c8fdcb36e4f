"""What every generating route does before it generates: is the model there, how long may the answer get, what to submit."""

from __future__ import annotations

import secrets

from youtu_edge.config import GenerationConfig
from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.admission.sampling import SamplingFields, sampling_params
from youtu_edge.front.admission.served_model import CurrentModel, ServedModel
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.front.keys.caller import CALLER
from youtu_edge.request_errors import InvalidRequestError, ModelNotFoundError

_ID_BYTES = {"-": 12, "_": 16}
"""Of an id behind each kind of prefix: as long as those of the APIs that it is for."""
_HIGHEST = 7
"""RFC 9218 counts urgency down to 0, the scheduler counts priority up."""


class Intake:
    """Makes requests for the model that is served."""

    def __init__(self, generation: GenerationConfig, admission: Admission, model: CurrentModel) -> None:
        self._generation = generation
        self.admission = admission
        self._model = model

    def configure(self, generation: GenerationConfig) -> None:
        """Use other defaults from the next request on."""
        self._generation = generation

    @property
    def model(self) -> ServedModel:
        """The served model. Only once admission has let the request in: nobody is admitted before a model is ready."""
        model = self._model.value
        assert model is not None, "the request was not admitted"
        return model

    def check_name(self, asked: str | None) -> None:
        """Raises ModelNotFoundError unless the request names the served model, `default` or none."""
        name = self.model.name
        if asked not in (None, "default", name):
            raise ModelNotFoundError(f"model: {asked[:100]!r} is not served here; {name!r} is", param="model")

    def max_new_tokens(self, field: str, asked: int | None) -> int:
        """The limit of the answer. Raises InvalidRequestError naming `field` where it exceeds the context."""
        context = self.model.context_length
        if asked is None:
            return min(self._generation.max_new_tokens, context)
        if asked > context:
            raise InvalidRequestError(f"{field}: {asked} exceeds the context of {context} tokens", param=field)
        return asked

    def submit(
        self, prefix: str, asked: SamplingFields, max_new_tokens: int, stop: str | list[str] | None = None
    ) -> GenerationRequest:
        """A request with a new id behind `prefix`; the caller adds messages or prompt, and what else its dialect has."""
        urgency = CALLER.get().urgency
        sampling = sampling_params(asked, self._generation, self.model.recommendation)
        return GenerationRequest(
            id=f"{prefix}{secrets.token_hex(_ID_BYTES[prefix[-1]])}",
            sampling=sampling,
            is_repeatable=sampling.temperature == 0 or asked.seed is not None,
            max_new_tokens=max_new_tokens,
            punctuation=asked.punctuation or self._generation.punctuation,
            stop=list(self._generation.stop) if stop is None else [stop] if isinstance(stop, str) else stop,
            is_default_stop=stop is None,
            keeps_stop=self._generation.keep_stop,
            priority=_HIGHEST - (self._generation.priority if urgency is None else urgency),
        )
