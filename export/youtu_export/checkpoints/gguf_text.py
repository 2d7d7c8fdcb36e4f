"""The text assets in GGUF metadata: templates, special tokens, sampling defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from youtu_export.checkpoints.chat_templates import DEFAULT, FoundTemplate, templates_in
from youtu_export.checkpoints.checkpoint import sampling_defaults
from youtu_export.checkpoints.gguf_tokenizer import begins_with_bos, build_tokenizer
from youtu_export.checkpoints.special_tokens import Claim, claim
from youtu_export.errors import ExportError
from youtu_export.text_assets import TextSources

_ENDS = [f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom")]
_START = "tokenizer.ggml.bos_token_id"
_ADD_START, _ADD_END = "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"
_TEMPLATE = "tokenizer.chat_template"
_SAMPLING = "general.sampling."
_SAMPLING_NAMES = {"temp": "temperature", "penalty_repeat": "repetition_penalty"}


def read_text_sources(path: Path, metadata: Mapping[str, Any]) -> TextSources:
    """Raises ExportError naming the key."""
    if metadata.get(_ADD_END):
        raise ExportError(f"{path}: {_ADD_END}: prompts that end with a token are not supported")
    sampling = {key.removeprefix(_SAMPLING): value for key, value in metadata.items() if key.startswith(_SAMPLING)}
    begins = metadata.get(_ADD_START, begins_with_bos(metadata))
    return TextSources(
        tokenizer_path=path,
        tokenizer=build_tokenizer(path, dict(metadata)).to_str(),
        templates=[_templates(path, metadata)],
        generation=sampling_defaults(path, {_SAMPLING_NAMES.get(key, key): value for key, value in sampling.items()}),
        ends=_ends(path, metadata),
        end_key=_ENDS[0],
        starts=claim(path, _START, metadata.get(_START)),
        add_start=Claim(path, _ADD_START, (1,)) if begins else None,
        variables=_variables(metadata),
    )


def _ends(path: Path, metadata: Mapping[str, Any]) -> list[Claim]:
    """End of sequence, of turn, of message: three roles, each named once, so they cannot disagree."""
    found = [one for key in _ENDS for one in claim(path, key, metadata.get(key))]
    tokens = tuple(dict.fromkeys(token for one in found for token in one.tokens))
    return [Claim(path, ", ".join(one.key for one in found), tokens)] if found else []


def _templates(path: Path, metadata: Mapping[str, Any]) -> dict[str, FoundTemplate]:
    """`tokenizer.chat_template` is the default, `tokenizer.chat_template.NAME` another one."""
    values = {DEFAULT: metadata[_TEMPLATE]} if _TEMPLATE in metadata else {}
    prefix = f"{_TEMPLATE}."
    values |= {key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)}
    return templates_in(path, _TEMPLATE, values)


def _variables(metadata: Mapping[str, Any]) -> dict[str, str]:
    tokens = metadata.get("tokenizer.ggml.tokens", [])
    variables = {}
    for role in ("bos", "eos"):
        token_id = metadata.get(f"tokenizer.ggml.{role}_token_id")
        if isinstance(token_id, int) and 0 <= token_id < len(tokens):
            variables[f"{role}_token"] = tokens[token_id]
    return variables
