"""The hyperparameters of a checkpoint, named as in Hugging Face's config.json.

Nothing is guessed: a missing key is an error, and so is an unknown key, because it may change the mathematics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from youtu_export.checkpoints.stored_tensor import StoredTensor
from youtu_export.errors import ExportError

# Keys that describe training, bookkeeping or generation and leave the forward pass alone.
_INERT = frozenset(
    [
        "architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "initializer_range", "use_cache",
        "pretraining_tp", "attention_dropout", "bos_token_id", "eos_token_id", "pad_token_id", "name_or_path",
        "is_llama_config", "transformers.js_config", "unsloth_fixed", "unsloth_version", "is_encoder_decoder",
        "output_attentions", "output_hidden_states", "return_dict", "id2label", "label2id", "chunk_size_feed_forward",
        "problem_type", "auto_map", "tokenizer_class",
    ]
)  # fmt: skip


_LARGEST_INTEGER = 2**31 - 1
_HARMLESS_SIZE = 65_536
"""Anything that is allocated for sizes up to this is negligible."""
_SMALLEST_NUMBER, _LARGEST_NUMBER = 1e-15, 1e15
"""Far beyond any model's values, yet small enough that products and squares fit float32."""


class ModelConfig:
    """Read access to the keys; records which were read. `path` is the file that errors name."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path = path
        self._values = values
        self._read = set(_INERT)
        self._longest_side = self._num_tensors = _LARGEST_INTEGER

    def limit_sizes(self, tensors: Iterable[StoredTensor]) -> None:
        """From now on no size may exceed the longest side of these tensors, and no count of layers their number.

        Smaller sizes are checked against their tensor when it is used.
        """
        shapes = [tensor.shape for tensor in tensors]
        self._num_tensors = len(shapes)
        self._longest_side = max([_HARMLESS_SIZE, *(side for shape in shapes for side in shape)])

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` when the key is absent or null."""
        self._read.add(key)
        value = self._values.get(key)
        return default if value is None else value

    def names(self, key: str) -> bool:
        """Whether the key is there, even with null."""
        return key in self._values

    def integer(self, key: str, default: int | None = None) -> int:
        """A positive integer."""
        value = self.get(key, default)
        if value is None:
            raise ExportError(f"{self.path}: {key} is missing")
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _LARGEST_INTEGER:
            raise ExportError(f"{self.path}: {key}: {value!r} is not a positive integer below 2^31")
        return value

    def size(self, key: str, default: int | None = None) -> int:
        """A positive integer that is a side of some tensor, or a factor of one."""
        value = self.integer(key, default)
        if value > self._longest_side:
            raise ExportError(f"{self.path}: {key}: {value} exceeds every side of every tensor")
        return value

    def layers(self, key: str) -> int:
        """The number of layers, each of which has its own tensors."""
        value = self.integer(key)
        if value > self._num_tensors:
            raise ExportError(f"{self.path}: {key}: {value} layers, but there are only {self._num_tensors} tensors")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false; `default` if absent."""
        return bool(self._typed(key, default, bool, "true or false"))

    def text(self, key: str) -> str | None:
        """A string or None."""
        value: str | None = self._typed(key, None, str, "a string")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """An object; empty if absent."""
        return dict(self._typed(key, {}, dict, "an object"))

    def items(self, key: str) -> list[Any]:
        """A list; empty if absent."""
        return list(self._typed(key, [], list, "a list"))

    def number(self, key: str) -> float:
        """A positive number."""
        value = self.get(key)
        if value is None:
            raise ExportError(f"{self.path}: {key} is missing")
        return positive_number(self.path, key, value)

    def only(self, key: str, supported: Iterable[Any], default: Any) -> Any:
        """A value that must be one of `supported`."""
        value = self.get(key, default)
        if value not in tuple(supported):
            raise ExportError(f"{self.path}: {key}: {value!r} is not supported")
        return value

    def expect(self, key: str, values: Iterable[int]) -> None:
        """A derived value; it may be absent, but must not contradict the others."""
        allowed = tuple(values)
        value = self.get(key, allowed[0])
        if value not in allowed:
            raise ExportError(f"{self.path}: {key}: {value!r} contradicts the other sizes, which imply {allowed[0]}")

    def reject_window_layers(self) -> None:
        """Every layer must attend to the whole context."""
        for kind in self.items("layer_types"):
            if kind != "full_attention":
                raise ExportError(f"{self.path}: layer_types: {kind!r} is not supported, only 'full_attention'")

    def _typed(self, key: str, default: Any, kind: type, what: str) -> Any:
        value = self.get(key, default)
        if value is not None and not isinstance(value, kind):
            raise ExportError(f"{self.path}: {key}: {value!r} is not {what}")
        return value

    def reject_unread(self) -> None:
        """Raise for the first key that was never read, unless its value means absence."""
        for key, value in self._values.items():
            if key not in self._read and not key.startswith("_") and value not in (None, False, [], {}):
                raise ExportError(f"{self.path}: {key}: {value!r} is unknown and may change the model's mathematics")


def positive_number(path: Path, key: str, value: Any) -> float:
    """`value` as a float. Raises ExportError naming file and key for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not _SMALLEST_NUMBER <= value <= _LARGEST_NUMBER:
        raise ExportError(
            f"{path}: {key}: {value!r} is not a positive number (from {_SMALLEST_NUMBER} to {_LARGEST_NUMBER})"
        )
    return float(value)
