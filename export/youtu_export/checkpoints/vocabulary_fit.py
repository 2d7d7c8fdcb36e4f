"""Fits the tokenizer to the token table.

A table with more rows than the tokenizer has ids is normal: tables are padded to round sizes, and the engine never samples
an id without a token. A tokenizer with more ids than rows is not: an id without a row can be neither embedded nor sampled.

    added tokens beyond the last row    removed from the tokenizer, with a warning: many fine-tuned checkpoints name a
                                        padding token that was never trained and that no prompt contains
    other tokens beyond the last row    rejected: it is another model's tokenizer, or the table was truncated
"""

from __future__ import annotations

import json
from pathlib import Path

from youtu_export.checkpoints.tokenizer_file import whole_text_tokenizer
from youtu_export.errors import ExportError
from youtu_export.findings import Findings


def fitted(path: Path, text: str, rows: int, template: str | None, findings: Findings) -> str:
    """The tokenizer.json `text` without added tokens that have no row among `rows`. Errors name `path`."""
    tokenizer = whole_text_tokenizer(text)
    largest = max(tokenizer.get_vocab(with_added_tokens=False).values(), default=-1)
    reject_missing_rows(path, largest + 1, rows)
    beyond = {i: token.content for i, token in tokenizer.get_added_tokens_decoder().items() if i >= rows}
    if not beyond:
        return text
    for token_id, content in beyond.items():
        if template is not None and content in template:
            raise ExportError(
                f"{path}: the chat template writes {content!r}, whose id {token_id} has no row in the token table of {rows}"
            )
        findings.warnings.append(f"{path}: {content!r} ({token_id}) has no row in the token table of {rows}; removed")
    values = json.loads(text)
    values["added_tokens"] = [token for token in values["added_tokens"] if token["id"] not in beyond]
    return _checked(path, json.dumps(values, ensure_ascii=False), beyond, rows)


def reject_missing_rows(path: Path, tokens: int, rows: int) -> None:
    """Raise ExportError if a tokenizer has more tokens than the token table has rows."""
    if tokens > rows:
        raise ExportError(
            f"{path}: the tokenizer has {tokens} tokens, but the token table has only {rows} rows: "
            "it is another model's tokenizer, or the table was truncated"
        )


def _checked(path: Path, text: str, beyond: dict[int, str], rows: int) -> str:
    try:
        ids = whole_text_tokenizer(text).encode("a").ids
    except Exception as error:  # the library raises plain Exception
        raise ExportError(f"{path}: does not work without {', '.join(map(repr, beyond.values()))}: {error}") from None
    if any(token_id >= rows for token_id in ids):
        raise ExportError(f"{path}: adds to every text a token that has no row in the token table of {rows}")
    return text
