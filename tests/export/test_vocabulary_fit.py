"""Tokenizer and embedding table of different sizes: padded tables are normal, tokens without a row are rejected."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, Tokenizer

from export.changed_files import change, tiny_checkpoint
from export.refusal import refusal
from export.small_gguf import random_tensors, write_gguf
from tiny_model import make_tokenizer
from youtu_edge.package import open_package
from youtu_edge.vocabulary_size import vocabulary_size
from youtu_export.__main__ import main

SIZE = make_tokenizer().get_vocab_size()
TABLES = ("model.embed_tokens.weight", "lm_head.weight")


def _checkpoint(directory: Path, rows: int) -> Path:
    """A checkpoint whose tables have so many rows; those beyond the tokenizer's would win every choice."""
    source = tiny_checkpoint(directory)
    change(source / "config.json", vocab_size=rows)
    tensors = load_file(source / "model.safetensors")
    for name in TABLES:
        more = np.full((max(0, rows - SIZE), tensors[name].shape[1]), 3, np.float32)
        tensors[name] = np.concatenate([tensors[name][:rows], more * tensors[name][30]])
    save_file(tensors, source / "model.safetensors")
    return source


def _add(source: Path, token: str) -> None:
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False)])
    tokenizer.save(str(source / "tokenizer.json"))


def test_a_filled_up_table_is_kept_and_golden_answers_use_tokens_only(tmp_path: Path) -> None:
    """Qwen's table has 271 rows more than its tokenizer has tokens."""
    source = _checkpoint(tmp_path, SIZE + 12)
    assert main(["hf", str(source), str(tmp_path / "package"), "--recipe", "f32"]) == 0
    package = open_package(tmp_path / "package")
    assert package.manifest.vocab_size == SIZE + 12
    golden = json.loads(package.path("golden.json").read_text())
    assert all(token < SIZE for prompt in golden["prompts"] for token in prompt["answer"])
    assert all(token < SIZE for prompt in golden["prompts"] for row in prompt["likely"] for token, _ in row)


def test_a_tokenizer_with_more_tokens_than_rows_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It belongs to another model, or the table was cut."""
    source = _checkpoint(tmp_path, SIZE - 1)
    said = refusal(capsys, tmp_path, "hf", str(source))
    assert f"tokenizer.json: the tokenizer has {SIZE} tokens, but the token table has only {SIZE - 1} rows" in said


def test_a_gguf_with_fewer_rows_than_tokens_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether its metadata tell the number of rows or not."""
    path, tensors = tmp_path / "model.gguf", random_tensors()
    tensors["token_embd.weight"] = tensors["token_embd.weight"][:-4]
    for size in (SIZE - 4, SIZE, None):
        write_gguf(path, tensors, metadata={"llama.vocab_size": size})
        said = refusal(capsys, tmp_path, "gguf", str(path))
        assert f"{path}: the tokenizer has {SIZE} tokens, but the token table has only {SIZE - 4} rows" in said


def test_an_added_token_without_a_row_is_left_out_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as the <pad> of many fine-tuned Llamas. Text that spells it becomes the tokens of its characters."""
    source = _checkpoint(tmp_path, SIZE)
    _add(source, "<pad>")
    assert main(["hf", str(source), str(tmp_path / "package"), "--no-golden"]) == 0
    tokenizer = Tokenizer.from_file(str(tmp_path / "package" / "tokenizer.json"))
    assert vocabulary_size(tokenizer, 10**6) == SIZE
    assert tokenizer.decode(tokenizer.encode("a<pad>b").ids) == "a<pad>b"
    warning = f"{source / 'tokenizer.json'}: '<pad>' ({SIZE}) has no row in the token table of {SIZE}; removed"
    assert f"youtu-export: warning: {warning}" in capsys.readouterr().err


def test_an_added_token_without_a_row_that_prompts_need_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the chat template, as the only end of answers, or in front of every text."""
    source = _checkpoint(tmp_path, SIZE)
    _add(source, "<turn>")
    change(source / "tokenizer_config.json", chat_template="{{ messages[0].content }}<turn>")
    said = refusal(capsys, tmp_path, "hf", str(source))
    assert f"the chat template writes '<turn>', whose id {SIZE} has no row in the token table of {SIZE}" in said
    change(source / "tokenizer_config.json", chat_template=..., eos_token=...)
    change(source / "config.json", eos_token_id=SIZE)
    assert f"token id {SIZE} is outside the vocabulary of {SIZE}" in refusal(capsys, tmp_path, "hf", str(source))
    change(source / "config.json", eos_token_id=2)
    path = source / "tokenizer.json"
    values = json.loads(path.read_text())
    values["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<turn>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<turn>": {"id": "<turn>", "ids": [SIZE], "tokens": ["<turn>"]}},
    }
    path.write_text(json.dumps(values))
    assert "adds to every text a token that has no row" in refusal(capsys, tmp_path, "hf", str(source))


@pytest.mark.parametrize(("rows", "size"), [(SIZE + 50, SIZE + 8), (SIZE + 8, SIZE + 8), (SIZE + 3, SIZE + 3)])
def test_ids_count_to_the_largest_even_if_some_are_left_out(rows: int, size: int) -> None:
    """GPT-4o's kind has its control tokens some ids behind its last ordinary one."""
    values = json.loads(make_tokenizer().to_str())
    values["added_tokens"].append(values["added_tokens"][0] | {"id": SIZE + 7, "content": "<|far|>"})
    values["model"]["vocab"]["<|far|>"] = SIZE + 7
    tokenizer = Tokenizer.from_str(json.dumps(values))
    assert tokenizer.get_vocab_size() == SIZE + 1
    assert vocabulary_size(tokenizer, rows) == size
