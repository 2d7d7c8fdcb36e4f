"""Ollama's `options`: those that set sampling and limit, those without effect here, and those that are rejected."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.admission.sampling import Penalty, SamplingFields, Seed
from youtu_edge.front.dialects.common.fields import Stop
from youtu_edge.recommendation import MinP, RepetitionPenalty, Temperature, TopK, TopP
from youtu_edge.request_errors import InvalidRequestError, UnsupportedParameterError

_Count = Annotated[int, Meta(ge=-1, le=2**31 - 1)]

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "mirostat": (0,),
    "penalize_newline": (True,),
    "repeat_last_n": (-1,),
    "tfs_z": (1,),
    "typical_p": (1,),
}
"""Options that would change the answer and do not exist here, with the values that change nothing."""

_RANDOM_SEED = -1


class OllamaOptions(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Options of an answer. Threads, batches, placement and memory are settings of the daemon: they change no answer."""

    num_predict: Annotated[int, Meta(ge=-2, le=2**31 - 1)] | None = None
    """Limit of the answer; -1 and -2: up to the end of the context."""
    temperature: Temperature | None = None
    top_k: TopK | None = None
    top_p: TopP | None = None
    min_p: MinP | None = None
    seed: Seed | None = None
    stop: Stop | None = None
    repeat_penalty: RepetitionPenalty | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None

    num_ctx: Annotated[int, Meta(ge=1)] | None = None
    """At most the context of the model; a smaller one has no effect."""
    num_keep: _Count | None = None
    num_batch: _Count | None = None
    num_gpu: _Count | None = None
    main_gpu: _Count | None = None
    num_thread: _Count | None = None
    numa: bool | None = None
    low_vram: bool | None = None
    f16_kv: bool | None = None
    use_mmap: bool | None = None
    use_mlock: bool | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None

    mirostat: int | None = None
    penalize_newline: bool | None = None
    repeat_last_n: int | None = None
    tfs_z: float | None = None
    typical_p: float | None = None

    @property
    def sampling(self) -> SamplingFields:
        """The sampling parameters under their names here. Ollama's seed -1 means a random one."""
        return SamplingFields(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repeat_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            seed=None if self.seed == _RANDOM_SEED else self.seed,
        )


def check_options(options: OllamaOptions, context_length: int) -> None:
    """What types cannot express. Raises InvalidRequestError and UnsupportedParameterError naming the option."""
    for name, neutral in _NEUTRAL.items():
        value = getattr(options, name)
        if value is not None and value not in neutral:
            where = f"options.{name}"
            raise UnsupportedParameterError(f"{where}: not supported by this server; leave it out", param=where)
    if options.num_ctx is not None and options.num_ctx > context_length:
        where = "options.num_ctx"
        raise InvalidRequestError(f"{where}: {options.num_ctx} exceeds the context of {context_length} tokens", param=where)


def max_new_tokens(intake: Intake, options: OllamaOptions) -> int:
    """The limit of the answer. Raises InvalidRequestError naming the option."""
    if options.num_predict == 0:
        where = "options.num_predict"
        raise InvalidRequestError(f"{where}: must be 1 or more, or -1 for the rest of the context", param=where)
    if options.num_predict is not None and options.num_predict < 0:
        return intake.model.context_length
    return intake.max_new_tokens("options.num_predict", options.num_predict)
