"""The types of the metadata that all architectures share, checked before use.

Keys of an architecture are sizes and numbers, which `ModelConfig` checks under their config.json names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.json_file import JsonError, checked
from youtu_export.errors import ExportError

_Id = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_MOST_TOKENS, _MOST_MERGES = 500_000, 1_000_000
"""The largest known vocabularies have 262,144 tokens and 580,000 merges."""
_LONGEST_TOKEN, _MOST_TEXT = 2048, 8_000_000
"""Characters of one token and of all: every split of a piece in two is tried, and each copies it."""


class _Metadata(msgspec.Struct, rename=lambda name: name.replace("__", ".")):
    general__architecture: str | None = None
    tokenizer__chat_template: str | None = None
    tokenizer__ggml__model: str | None = None
    tokenizer__ggml__pre: str | None = None
    tokenizer__ggml__tokens: Annotated[
        list[Annotated[str, Meta(max_length=_LONGEST_TOKEN)]], Meta(max_length=_MOST_TOKENS)
    ] = []
    tokenizer__ggml__token_type: list[int] = []
    tokenizer__ggml__merges: Annotated[
        list[Annotated[str, Meta(max_length=_LONGEST_TOKEN)]], Meta(max_length=_MOST_MERGES)
    ] = []
    tokenizer__ggml__scores: list[float] = []
    tokenizer__ggml__add_bos_token: bool | None = None
    tokenizer__ggml__add_eos_token: bool | None = None
    tokenizer__ggml__add_space_prefix: bool | None = None
    tokenizer__ggml__bos_token_id: _Id | None = None
    tokenizer__ggml__eos_token_id: _Id | None = None
    tokenizer__ggml__eot_token_id: _Id | None = None
    tokenizer__ggml__eom_token_id: _Id | None = None
    tokenizer__ggml__unknown_token_id: _Id | None = None


def check_metadata(path: Path, metadata: dict[str, Any]) -> None:
    """Raise ExportError naming the first key whose value has the wrong type."""
    try:
        found = checked(metadata, _Metadata)
    except JsonError as error:
        raise ExportError(f"{path}: {error}") from None
    if sum(map(len, found.tokenizer__ggml__tokens)) > _MOST_TEXT:
        raise ExportError(f"{path}: tokenizer.ggml.tokens: more than {_MOST_TEXT} characters in total")
    unknown = found.tokenizer__ggml__unknown_token_id
    if unknown is not None and unknown >= max(1, len(found.tokenizer__ggml__tokens)):
        count = len(found.tokenizer__ggml__tokens)
        raise ExportError(f"{path}: tokenizer.ggml.unknown_token_id: {unknown} is not one of the {count} tokens")
