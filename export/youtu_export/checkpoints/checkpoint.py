"""A checkpoint as the rest of the exporter sees it, whatever its file format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from youtu_edge.json_file import JsonError, checked
from youtu_edge.recommendation import Recommendation
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.checkpoints.stored_tensor import StoredTensor
from youtu_export.errors import ExportError
from youtu_export.findings import Findings

_FREQUENCIES = ("rotary_emb.inv_freq", "rotary_pos_emb.inv_freq")


@dataclass(frozen=True)
class TextAssets:
    """Everything in a package that is neither graph nor weights."""

    tokenizer: str
    """Contents of tokenizer.json."""
    chat_template: str | None
    generation: dict[str, float]
    """Default sampling parameters, named as in the HTTP API."""
    eos_token_ids: list[int]
    bos_token_id: int | None
    """Prepended to prompts; None for models without one."""
    template_variables: dict[str, str]


_UNDECIDED = TextAssets("", None, {}, [], None, {})


@dataclass
class Checkpoint:
    """Tensors by Hugging Face name, hyperparameters, and the text assets, which are settled last.

    Errors name `path`; `format` is gguf or hf.
    """

    path: Path
    format: str
    config: ModelConfig
    tensors: dict[str, StoredTensor]
    assets: TextAssets = _UNDECIDED
    findings: Findings = field(default_factory=Findings)
    taken: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        """Whether the checkpoint has this tensor."""
        return name in self.tensors

    def take(self, name: str, *shape: int) -> StoredTensor:
        """The tensor, which must have this shape."""
        tensor = self.tensors.get(name)
        if tensor is None:
            raise ExportError(f"{self.path}: {name}: no such tensor in the checkpoint")
        if tensor.shape != shape:
            raise ExportError(f"{tensor.path}: {tensor.name}: shape {list(tensor.shape)} instead of {list(shape)}")
        self.taken.add(name)
        return tensor

    def ignore(self, name: str) -> None:
        """Drop a tensor that the model is known not to use."""
        self.tensors.pop(name, None)

    def reject_unused(self) -> None:
        """Raise for the first tensor that the graph does not use: it is another kind of model."""
        for name, tensor in self.tensors.items():
            # Old checkpoints store the frequencies that are otherwise computed from the configuration.
            if name not in self.taken and not name.endswith(_FREQUENCIES):
                raise ExportError(f"{tensor.path}: {tensor.name}: this model family has no such tensor")


def sampling_defaults(path: Path, values: dict[str, Any]) -> dict[str, float]:
    """The known sampling parameters among `values`, for generation.json.

    Raises ExportError naming `path` and the parameter that a device would reject.
    """
    try:
        found = checked(values, Recommendation)
    except JsonError as error:
        raise ExportError(f"{path}: {error}") from None
    return {key: value for key, value in msgspec.structs.asdict(found).items() if value is not None}
