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

    def model(self) -> ServedModel:
        """The served model. Raises as `Admission.check`: called first, it spares reading a body in vain."""
        self.admission.check()
        model = self._model.value
        assert model is not None, "admission lets nobody in before the engine is ready"
        return model

    def check_name(self, asked: str | None) -> None:
        """Raises ModelNotFoundError unless the request names the served model, `default` or none."""
        name = self.model().name
        if asked not in (None, "default", name):
            raise ModelNotFoundError(f"model: {asked[:100]!r} is not served here; {name!r} is", param="model")

    def max_new_tokens(self, field: str, asked: int | None) -> int:
        """The limit of the answer. Raises InvalidRequestError naming `field` where it exceeds the context."""
        context = self.model().context_length
        if asked is None:
            return min(self._generation.max_new_tokens, context)
        if asked > context:
            raise InvalidRequestError(f"{field}: {asked} exceeds the context of {context} tokens", param=field)
        return asked

    def submit(
        self, kind: str, asked: SamplingFields, max_new_tokens: int, stop: str | list[str] | None = None
    ) -> GenerationRequest:
        """A request with a new id that begins with `kind`; the caller adds messages or prompt and what else it offers."""
        urgency = CALLER.get().urgency
        sampling = sampling_params(asked, self._generation, self.model().recommendation)
        return GenerationRequest(
            id=f"{kind}-{secrets.token_hex(12)}",
            sampling=sampling,
            is_repeatable=sampling.temperature == 0 or asked.seed is not None,
            max_new_tokens=max_new_tokens,
            punctuation=asked.punctuation or self._generation.punctuation,
            stop=list(self._generation.stop) if stop is None else [stop] if isinstance(stop, str) else stop,
            is_default_stop=stop is None,
            keeps_stop=self._generation.keep_stop,
            priority=_HIGHEST - (self._generation.priority if urgency is None else urgency),
        )
