"""The JSON files of a directory in Hugging Face's format: the fields that are read, and their types.

A listed field of another type is an error that names it; unlisted fields are not checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.json_file import LARGEST_FILE, JsonError, checked, decode_json, read_bounded
from youtu_export.errors import ExportError

_LARGEST_TOKENIZER = 64 * 1024 * 1024  # bytes; the largest known has 35 MB


class AddedToken(msgspec.Struct):
    """A special token as an object; its other fields matter only in training."""

    content: str


Token = str | AddedToken | None
_TokenId = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
TokenIds = _TokenId | str | list[_TokenId | str] | None


class Roles(msgspec.Struct):
    """special_tokens_map.json: which token has which role."""

    bos_token: Token = None
    eos_token: Token = None
    pad_token: Token = None
    unk_token: Token = None


class TokenizerSettings(Roles):
    """tokenizer_config.json."""

    add_bos_token: bool | None = None
    add_eos_token: bool | None = None


class ChatTemplateFile(msgspec.Struct):
    """chat_template.json; `templates_in` handles its forms."""

    chat_template: str | list[Any] | dict[str, Any] | None = None


class Ends(msgspec.Struct):
    """The fields that config.json and generation_config.json share."""

    bos_token_id: TokenIds = None
    eos_token_id: TokenIds = None


class ModelFile(Ends):
    """config.json, as far as all families share it; `ModelConfig` checks the rest where it is read."""

    model_type: str | None = None
    quantization_config: dict[str, Any] | None = None


class ShardIndex(msgspec.Struct):
    """model.safetensors.index.json: the file of each tensor."""

    weight_map: dict[str, str]


def read_object(path: Path, schema: type[msgspec.Struct], *, optional: bool = False) -> dict[str, Any]:
    """The object in a file, checked against `schema`; {} for an `optional` file that does not exist.

    Raises ExportError naming file and field.
    """
    if optional and not path.exists():
        return {}
    try:
        values = decode_json(read_file(path, LARGEST_FILE))
        if not isinstance(values, dict):
            raise JsonError("not a JSON object")
        checked(values, schema)
    except JsonError as error:
        raise ExportError(f"{path}: {error}") from None
    return values


def read_text(path: Path) -> str:
    """Raises ExportError."""
    try:
        return read_file(path, _LARGEST_TOKENIZER).decode("utf-8")
    except UnicodeDecodeError:
        raise ExportError(f"{path}: not a text file") from None


def read_file(path: Path, largest: int) -> bytes:
    """Raises ExportError for one that cannot be read or is larger than `largest` bytes."""
    try:
        return read_bounded(path, largest)
    except JsonError as error:
        raise ExportError(f"{path}: {error}") from None
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL in the name
        raise ExportError(f"{path}: not a valid file name") from None
