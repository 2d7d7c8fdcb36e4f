"""Tokenizers rebuilt from GGUF metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from reference_data import smollm2_figures
from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.package import open_package
from youtu_edge.protocol.prompt import ChatMessage
from youtu_export.__main__ import main
from youtu_export.checkpoints.gguf_text import read_text_sources
from youtu_export.checkpoints.gguf_tokenizer import build_tokenizer
from youtu_export.checkpoints.special_tokens import start_token
from youtu_export.errors import ExportError
from youtu_export.findings import Findings

PATH = Path("model.gguf")


def _byte_level(pre: str) -> Tokenizer:
    return build_tokenizer(PATH, _byte_level_metadata(pre))


def _byte_level_metadata(pre: str) -> dict[str, Any]:
    from tiny_model import make_tokenizer

    model = json.loads(make_tokenizer().to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": [" ".join(merge) for merge in model["merges"]],
    }


def _sentence_piece(**changes: Any) -> dict[str, Any]:
    pieces = ["▁", "a", "b", "ab", "▁ab", "b▁"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * 259 + [-5.0, -6.0, -7.0, -1.0, -2.0, -0.5],
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * len(pieces),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        **changes,
    }


def test_every_reference_row_of_the_real_model(smollm2_gguf: Path, tmp_path: Path) -> None:
    """Hard strings and rendered chats give the ids of llama.cpp."""
    assert main(["gguf", str(smollm2_gguf), str(tmp_path / "package")]) == 0
    package = open_package(tmp_path / "package")
    tokenizer = Tokenizer.from_file(str(package.path("tokenizer.json")))
    reference = smollm2_figures()
    for row in reference["tokenize"]:
        assert tokenizer.encode(row["text"], add_special_tokens=False).ids == row["ids"], row["text"]
        kept = tokenizer.decode(row["ids"], skip_special_tokens=False)
        assert kept == row["text"]
    prompter = Prompter(tokenizer, package.read_text("chat_template.jinja"), variables=package.manifest.template_variables)
    for row in reference["chat"]:
        messages = [ChatMessage(**message) for message in row["messages"]]
        assert prompter.render(messages) == row["prompt"]
        assert prompter.encode_chat(messages) == row["prompt_ids"]


@pytest.mark.parametrize(
    ("pre", "pieces"),
    [
        ("gpt-2", ["x", "1234", " y", "  ", " z", "\n", "\n", "'s"]),
        ("smollm", ["x", "1", "2", "3", "4", " y", "  ", " z", "\n", "\n", "'s"]),
        ("llama-bpe", ["x", "123", "4", " y", "  ", " z", "\n\n", "'s"]),
        ("qwen2", ["x", "1", "2", "3", "4", " y", "  ", " z", "\n\n", "'s"]),
        ("deepseek-r1-qwen", ["x", "1", "2", "3", "4", " y", "  ", " z", "\n\n", "'s"]),
        ("smaug-bpe", ["x", "123", "4", " y", "  ", " z", "\n\n", "'s"]),
        ("tekken", ["x", "1", "2", "3", "4", " y", "  ", " z", "\n\n", "'s"]),
        ("gpt-4o", ["x", "123", "4", " y", "  ", " z", "\n\n", "'s"]),
    ],
)
def test_pre_tokenizers_cut_where_their_models_were_trained_to(pre: str, pieces: list[str]) -> None:
    """Digits, runs of spaces and line ends are where the patterns differ."""
    text = "x1234 y   z\n\n's"
    cut = _byte_level(pre).pre_tokenizer.pre_tokenize_str(text)
    assert [text[begin:end] for _, (begin, end) in cut] == pieces


@pytest.mark.parametrize(
    ("pre", "pieces"),
    [
        ("llama-bpe", ["getUserName", "'s", " ok", "!/", "x"]),
        ("tekken", ["get", "User", "Name", "'s", " ok", "!/", "x"]),
        ("gpt-4o", ["get", "User", "Name's", " ok", "!/", "x"]),
    ],
)
def test_newer_pre_tokenizers_cut_where_capitals_begin(pre: str, pieces: list[str]) -> None:
    """The suffix belongs to the word in gpt-4o only."""
    text = "getUserName's ok!/x"
    cut = _byte_level(pre).pre_tokenizer.pre_tokenize_str(text)
    assert [text[begin:end] for _, (begin, end) in cut] == pieces


def test_an_unknown_pre_tokenizer_is_refused_by_name() -> None:
    """A similar one would quietly cost quality."""
    with pytest.raises(ExportError, match=r"model.gguf: tokenizer.ggml.pre: pre-tokenizer 'viking' is not supported"):
        _byte_level("viking")


def test_sentence_pieces_merge_by_score_and_fall_back_to_bytes() -> None:
    """The best score merges first; characters without a piece become bytes; a space is put in front."""
    tokenizer = build_tokenizer(PATH, _sentence_piece())
    assert tokenizer.encode("ab").tokens == ["▁ab"]
    assert tokenizer.encode("ab ab").tokens == ["▁", "a", "b▁", "ab"]
    assert tokenizer.encode("b b").tokens == ["▁", "b▁", "b"]
    assert tokenizer.encode("é").tokens == ["▁", "<0xC3>", "<0xA9>"]
    assert tokenizer.decode(tokenizer.encode("ab é b").ids) == "ab é b"
    bare = build_tokenizer(PATH, _sentence_piece(**{"tokenizer.ggml.add_space_prefix": False}))
    assert bare.encode("ab").tokens == ["ab"]


def test_control_tokens_are_whole_and_special() -> None:
    """Type 3 is skipped when decoding, type 4 is text."""
    types = [2, 3, 4] + [6] * 256 + [1] * 6
    tokenizer = build_tokenizer(PATH, _sentence_piece(**{"tokenizer.ggml.token_type": types}))
    assert tokenizer.encode("<s>").ids == [1]
    assert tokenizer.decode([1, 2]) == "</s>"


def test_the_start_token_follows_the_metadata_and_then_the_kind() -> None:
    """Llama 2 and 3 start with BOS unless the file says otherwise, GPT-2 kinds do not."""
    assert _start(_sentence_piece()) == 1
    assert _start(_sentence_piece(**{"tokenizer.ggml.add_bos_token": False})) is None
    gpt2 = _byte_level_metadata("gpt-2") | {"tokenizer.ggml.bos_token_id": 7}
    assert _start(gpt2) is None
    assert _start(gpt2 | {"tokenizer.ggml.pre": "llama-bpe"}) == 7
    assert _start(gpt2 | {"tokenizer.ggml.add_bos_token": True}) == 7


def _start(metadata: dict[str, Any]) -> int | None:
    sources = read_text_sources(PATH, metadata)
    return start_token(
        PATH, Tokenizer.from_str(sources.tokenizer), 1000, sources.starts, sources.add_start, Findings()
    )  # fmt: skip


def test_end_of_sequence_of_turn_and_of_message_are_one_claim() -> None:
    """They are different roles, so that they do not disagree; each token once."""
    metadata = _sentence_piece(**{"tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.eot_token_id": 5})
    assert [claim.tokens for claim in read_text_sources(PATH, metadata).ends] == [(2, 5)]
    metadata["tokenizer.ggml.eot_token_id"] = 2
    assert [claim.tokens for claim in read_text_sources(PATH, metadata).ends] == [(2,)]
