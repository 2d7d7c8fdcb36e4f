"""The text assets of a package, settled when a checkpoint is opened: tokenizer, chat template, special tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from youtu_export.checkpoints.chat_templates import DEFAULT, FoundTemplate, checked_template, chosen_template, turn_end
from youtu_export.checkpoints.checkpoint import Checkpoint, TextAssets
from youtu_export.checkpoints.special_tokens import Claim, end_tokens, start_token
from youtu_export.checkpoints.tokenizer_file import whole_text_tokenizer
from youtu_export.checkpoints.vocabulary_fit import fitted
from youtu_export.graph.families import family_of


@dataclass(frozen=True, kw_only=True)
class TextSources:
    """What a checkpoint says about its text, with the source of each part."""

    tokenizer_path: Path
    tokenizer: str
    """Contents of tokenizer.json."""
    templates: Sequence[Mapping[str, FoundTemplate]]
    """By name, in order of precedence."""
    generation: dict[str, float]
    ends: Sequence[Claim]
    end_key: str
    """The key that should name one."""
    starts: Sequence[Claim]
    add_start: Claim | None
    """See special_tokens.start_token."""
    variables: dict[str, str] = field(default_factory=dict)
    """bos_token and the like, as chat templates name them."""
    warnings: Sequence[str] = ()


def settle(checkpoint: Checkpoint, sources: TextSources) -> TextAssets:
    """Settle the text assets; decisions and warnings go to the checkpoint's findings.

    Raises ExportError naming the file and the key that cannot be used.
    """
    family, findings = family_of(checkpoint), checkpoint.findings
    rows = family.read_spec(checkpoint).vocab
    findings.warnings += sources.warnings
    found = chosen_template(sources.templates, findings)
    if found is None and family.chat_template is not None:
        found = FoundTemplate(checkpoint.config.path, f"(template of the family, {DEFAULT})", family.chat_template)
    text = fitted(sources.tokenizer_path, sources.tokenizer, rows, found.text if found else None, findings)
    tokenizer = whole_text_tokenizer(text)
    ends = list(sources.ends)
    if found is not None:
        template = checked_template(found, sources.variables)
        ends += turn_end(found, template, sources.variables, tokenizer)
    path = checkpoint.config.path
    end_key = f"{path}: {sources.end_key}"
    return TextAssets(
        tokenizer=text,
        chat_template=found.text if found else None,
        generation=sources.generation,
        eos_token_ids=end_tokens(end_key, tokenizer, rows, ends, family.end_tokens, findings),
        bos_token_id=start_token(path, tokenizer, rows, sources.starts, sources.add_start, findings),
        template_variables=sources.variables,
    )
