"""The text that calibration runs the model on: plain text, or JSON lines with `text` or `messages`, cut into windows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from youtu_edge.chat_template import compile_template
from youtu_edge.json_file import JsonError, decode_json
from youtu_export.checkpoints.checkpoint import TextAssets
from youtu_export.checkpoints.tokenizer_file import whole_text_tokenizer
from youtu_export.errors import ExportError

SAMPLE = Path(__file__).parents[1] / "data" / "calibration.jsonl"
"""English, Chinese, code, JSON and conversations, written for this purpose."""

_WINDOW = 512
_MAX_WINDOWS = 64


@dataclass(frozen=True)
class Calibration:
    """Token ids in windows, and which text they come from."""

    name: str
    sha256: str
    windows: list[list[int]]

    @property
    def tokens(self) -> int:
        """All tokens of all windows."""
        return sum(len(window) for window in self.windows)


def read_calibration(path: Path, assets: TextAssets) -> Calibration:
    """Read a file whose name ends in .jsonl as JSON lines, any other as one text.

    Documents are concatenated and cut into windows of at most 512 tokens that begin with the start token; at most 32,768
    tokens are used. Raises ExportError naming file and line.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ExportError(f"{path}: not a text file") from None
    documents = _documents(path, text, assets) if path.suffix == ".jsonl" else [text]
    tokenizer = whole_text_tokenizer(assets.tokenizer)
    start = _start_token(tokenizer, assets)
    prefix = [] if start is None else [start]
    ids = [token for document in documents for token in tokenizer.encode(document, add_special_tokens=False).ids]
    step = _WINDOW - len(prefix)
    windows = [[*prefix, *ids[begin : begin + step]] for begin in range(0, len(ids), step)]
    if len(ids) < 2:
        raise ExportError(f"{path}: too short to calibrate with")
    return Calibration(path.name, hashlib.sha256(data).hexdigest(), windows[:_MAX_WINDOWS])


def _start_token(tokenizer: Tokenizer, assets: TextAssets) -> int | None:
    if assets.bos_token_id is not None:
        return assets.bos_token_id
    name = assets.template_variables.get("bos_token")
    found: int | None = None if name is None else tokenizer.token_to_id(name)
    return found


def _documents(path: Path, text: str, assets: TextAssets) -> list[str]:
    documents = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = decode_json(line.encode())
        except JsonError as error:
            raise ExportError(f"{path}: line {number}: {error}") from None
        if isinstance(value, dict) and isinstance(value.get("text"), str):
            documents.append(value["text"])
        elif isinstance(value, dict) and _are_messages(value.get("messages")):
            documents.append(_conversation(f"{path}: line {number}", value["messages"], assets))
        else:
            raise ExportError(f"{path}: line {number}: needs a string `text` or a list `messages`")
    return documents


def _are_messages(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(message, dict) for message in value)


def _conversation(place: str, messages: list[Any], assets: TextAssets) -> str:
    """A conversation as the chat template renders it, or one message per line for a model without a template."""
    if assets.chat_template is None:
        return "\n".join(str(message.get("content", "")) for message in messages)
    variables = {**assets.template_variables, "messages": messages, "add_generation_prompt": False}
    try:
        return compile_template(assets.chat_template).render(variables)
    except Exception as error:  # a template can raise any exception
        raise ExportError(f"{place}: the chat template rejects these messages: {type(error).__name__}: {error}") from None
