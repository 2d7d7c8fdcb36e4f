"""Ollama's `options`: those that set sampling and limit, those without effect here, and those that are rejected."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.admission.sampling import Penalty, SamplingFields, Seed
from youtu_edge.front.dialects.common.fields import Stop
from youtu_edge.front.http.field_table import Hint, Refused
from youtu_edge.recommendation import MinP, RepetitionPenalty, Temperature, TopK, TopP
from youtu_edge.request_errors import InvalidRequestError

_Count = Annotated[int, Meta(ge=-1, le=2**31 - 1)]

OTHER_OPTIONS: dict[str, Hint | Refused] = {
    "f16_kv": Hint(),
    "low_vram": Hint(),
    "main_gpu": Hint(),
    "mirostat": Refused(0),
    "mirostat_eta": Hint(),
    "mirostat_tau": Hint(),
    "num_batch": Hint(),
    "num_ctx": Hint(),
    "num_gpu": Hint(),
    "num_keep": Hint(),
    "num_thread": Hint(),
    "numa": Hint(),
    "penalize_newline": Refused(True),
    "repeat_last_n": Refused(-1),
    "tfs_z": Refused(1),
    "typical_p": Refused(1),
    "use_mlock": Hint(),
    "use_mmap": Hint(),
}
"""Options that are not computed here. Threads, batches, placement and the context are settings of the daemon."""

_RANDOM_SEED = -1


class OllamaOptions(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Options of an answer."""

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
    """Ignored, as the context of the daemon stays what it is; `num_predict` and the prompt are checked against that."""
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


def max_new_tokens(intake: Intake, options: OllamaOptions) -> int:
    """The limit of the answer. Raises InvalidRequestError naming the option."""
    if options.num_predict == 0:
        where = "options.num_predict"
        raise InvalidRequestError(f"{where}: must be 1 or more, or -1 for the rest of the context", param=where)
    if options.num_predict is not None and options.num_predict < 0:
        return intake.model.context_length
    return intake.max_new_tokens("options.num_predict", options.num_predict)
