"""The text assets of a directory in Hugging Face's format: templates, special tokens, sampling defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from youtu_edge.package import CHAT_TEMPLATE, TOKENIZER
from youtu_export.checkpoints.chat_templates import DEFAULT, FoundTemplate, templates_in
from youtu_export.checkpoints.checkpoint import sampling_defaults
from youtu_export.checkpoints.hf_files import ChatTemplateFile, Ends, Roles, TokenizerSettings, read_object, read_text
from youtu_export.checkpoints.special_tokens import Claim, claim
from youtu_export.checkpoints.tokenizer_file import read_tokenizer
from youtu_export.text_assets import TextSources

_SETTINGS = "tokenizer_config.json"
_ROLE_FILE = "special_tokens_map.json"
_GENERATION = "generation_config.json"
_TEMPLATE_FILE = "chat_template.json"
NAMED_TEMPLATES = "additional_chat_templates"
TEXT_FILES = (TOKENIZER, _SETTINGS, _ROLE_FILE, _GENERATION, CHAT_TEMPLATE, _TEMPLATE_FILE)
"""The files that are read here, besides the templates in the directory NAMED_TEMPLATES."""
_ROLES = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")


def read_text_sources(directory: Path, config: Mapping[str, Any]) -> TextSources:
    """Read them; `config` is the contents of config.json. Raises ExportError naming file and key."""
    tokenizer = directory / TOKENIZER
    settings = read_object(directory / _SETTINGS, TokenizerSettings, optional=True)
    roles = read_object(directory / _ROLE_FILE, Roles, optional=True)
    generation = read_object(directory / _GENERATION, Ends, optional=True)
    by_id = ((_GENERATION, generation), ("config.json", config))
    by_text = ((_SETTINGS, settings), (_ROLE_FILE, roles))
    added = settings.get("add_bos_token")
    return TextSources(
        tokenizer_path=tokenizer,
        tokenizer=read_tokenizer(tokenizer, read_text(tokenizer))[1],
        templates=_templates(directory, settings),
        generation=sampling_defaults(directory / _GENERATION, generation),
        ends=[
            *(one for name, values in by_id for one in _claim(directory / name, "eos_token_id", values)),
            *(one for name, values in by_text for one in _claim(directory / name, "eos_token", values)),
        ],
        end_key="eos_token_id",
        starts=[
            *(one for name, values in by_text for one in _claim(directory / name, "bos_token", values)),
            *(one for name, values in by_id for one in _claim(directory / name, "bos_token_id", values)),
        ],
        add_start=None if added is None else Claim(directory / _SETTINGS, "add_bos_token", (int(added),)),
        variables=_variables(settings, roles),
        warnings=_end_of_prompts(directory / _SETTINGS, settings),
    )


def _claim(path: Path, key: str, values: Mapping[str, Any]) -> list[Claim]:
    return claim(path, key, values.get(key))


def _variables(settings: Mapping[str, Any], roles: Mapping[str, Any]) -> dict[str, str]:
    """bos_token and the like, as templates name them; tokenizer_config.json takes precedence, as in transformers."""
    found = {}
    for role in _ROLES:
        for values in (settings, roles):
            token = values.get(role)
            token = token.get("content") if isinstance(token, Mapping) else token
            if isinstance(token, str) and role not in found:
                found[role] = token
    return found


def _templates(directory: Path, settings: Mapping[str, Any]) -> list[dict[str, FoundTemplate]]:
    """By name, in order of precedence; the files beside chat_template.jinja belong to it."""
    single, several = directory / CHAT_TEMPLATE, directory / NAMED_TEMPLATES
    files = {DEFAULT: single} if single.exists() else {}
    files |= {path.stem: path for path in sorted(several.glob("*.jinja")) if path.stem not in files}
    legacy = directory / _TEMPLATE_FILE
    key = "chat_template"
    sources = [
        {name: FoundTemplate(path, "", read_text(path)) for name, path in files.items()},
        templates_in(directory / _SETTINGS, key, settings.get(key)),
        templates_in(legacy, key, read_object(legacy, ChatTemplateFile, optional=True).get(key)),
    ]
    return [{name: found for name, found in source.items() if found.text.strip()} for source in sources]


def _end_of_prompts(path: Path, settings: Mapping[str, Any]) -> list[str]:
    if settings.get("add_eos_token") is not True:
        return []
    return [f"{path}: add_eos_token: true applies to training; prompts do not end with it"]
