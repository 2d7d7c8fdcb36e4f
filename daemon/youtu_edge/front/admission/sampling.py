"""Resolves the sampling fields of a request, and the defaults of those it leaves out, into SamplingParams.

request > the YAML's `generation` section > what the package recommends (generation.json) > greedy
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from youtu_edge.config import GenerationConfig, Punctuation
from youtu_edge.errors import PackageError
from youtu_edge.json_file import JsonError, checked, decode_json, read_bounded
from youtu_edge.package import GENERATION
from youtu_edge.protocol.to_engine import SamplingParams
from youtu_edge.recommendation import MinP, Recommendation, RepetitionPenalty, Temperature, TopK, TopP

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_MIN_TEMPERATURE = 1e-5
"""Below it the most likely token is certain, and dividing logits by it would overflow float32."""
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Seed = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]


class SamplingFields(msgspec.Struct, forbid_unknown_fields=True):
    """The sampling parameters of a body; None: not set."""

    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    min_p: MinP | None = None
    repetition_penalty: RepetitionPenalty | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Seed | None = None
    punctuation: Punctuation | None = None
    """Not sampling, but beside it in every dialect: repair the punctuation of Chinese text."""


def read_recommendation(package: Path) -> Recommendation:
    """What the package recommends. Call it after the engine has verified the package. Raises PackageError."""
    path = package / GENERATION
    try:
        return checked(decode_json(read_bounded(path)), Recommendation)
    except FileNotFoundError:
        return Recommendation()
    except OSError as error:
        raise PackageError(f"{path}: cannot be read: {error.strerror}") from None
    except JsonError as error:
        raise PackageError(f"{path}: {error}; export the model again") from None


def sampling_params(fields: SamplingFields, config: GenerationConfig, package: Recommendation) -> SamplingParams:
    """The resolved parameters. A missing seed is drawn here, so that a resumed request draws the same tokens."""
    off = SamplingParams()

    def value(name: str) -> float:
        for source in (fields, config, package):
            if (found := getattr(source, name, None)) is not None:
                return found  # type: ignore[no-any-return]  # all of them are numbers
        return getattr(off, name)  # type: ignore[no-any-return]

    temperature = value("temperature")
    return SamplingParams(
        temperature=temperature if temperature >= _MIN_TEMPERATURE else 0.0,
        top_k=int(value("top_k")),
        top_p=value("top_p"),
        min_p=value("min_p"),
        repetition_penalty=value("repetition_penalty"),
        presence_penalty=value("presence_penalty"),
        frequency_penalty=value("frequency_penalty"),
        # The counter-based generator needs a non-negative key; negative seeds of clients lose their sign bit.
        seed=secrets.randbits(63) if fields.seed is None else fields.seed & INT64_MAX,
    )
