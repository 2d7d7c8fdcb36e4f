"""tokenizer.json of a checkpoint: checks it before the `tokenizers` library reads it, and makes its tokenizer.

The library trusts its input: it allocates as many padding tokens and ids as the file declares, and anything unexpected is a
Rust panic, which is not an Exception.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from tokenizers import Tokenizer

from youtu_edge.json_file import described
from youtu_export.checkpoints.stored_tensor import LONGEST_SIDE
from youtu_export.errors import ExportError

_TokenId = Annotated[int, Meta(ge=0, lt=LONGEST_SIDE)]


class _AddedToken(msgspec.Struct):
    id: _TokenId
    content: str


class _Model(msgspec.Struct):
    vocab: dict[str, _TokenId] | list[Any]
    """A list of pieces with their scores for Unigram models."""
    type: str | None = None


class _TokenizerFile(msgspec.Struct):
    model: _Model
    added_tokens: list[_AddedToken] = []
    truncation: dict[str, Any] | None = None
    padding: dict[str, Any] | None = None


_PROBE = "a 1\n\u4e2d"
_DECODER = msgspec.json.Decoder(_TokenizerFile)


def read_tokenizer(path: Path, text: str) -> tuple[Tokenizer, str]:
    """The tokenizer in the text of tokenizer.json, and the text that goes into a package.

    Padding and truncation, which are for training, are removed: a prompt keeps its length. Raises ExportError.
    """
    try:
        file = _DECODER.decode(text.encode("utf-8"))
    except msgspec.ValidationError as error:
        raise ExportError(f"{path}: {described(error)}") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ExportError(f"{path}: not valid JSON: {error}") from None
    except RecursionError:
        raise ExportError(f"{path}: not valid JSON: nested too deeply") from None
    if file.truncation is not None or file.padding is not None:
        values = msgspec.json.decode(text)
        text = msgspec.json.encode(values | {"truncation": None, "padding": None}).decode()
    return make_tokenizer(path, text), text


def make_tokenizer(path: Path, text: str) -> Tokenizer:
    """Raises ExportError if the library rejects the file, or if its tokenizer cannot encode a test text."""
    try:
        tokenizer = whole_text_tokenizer(text)
        tokenizer.encode(_PROBE)  # fails for a model without an unknown token, for example
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ExportError(f"{path}: not a usable tokenizer: {error}") from None
    return tokenizer


def whole_text_tokenizer(text: str) -> Tokenizer:
    """The tokenizer in the text of a checked tokenizer.json; it neither truncates nor pads, whatever the file says."""
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()  # both are for training; packages of older exporters have them
    tokenizer.no_padding()
    return tokenizer
