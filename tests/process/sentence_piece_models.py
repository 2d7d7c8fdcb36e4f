"""Small models of random weights whose tokenizers are of the SentencePiece kind, exported as people's checkpoints are.

What they say is meaningless, but the same every time, and it has no end of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from export import small_families, small_gguf
from sentence_piece import TOKENS, gguf_metadata, make_sentence_piece
from tiny_model import make_tiny_checkpoint, printable
from youtu_export.__main__ import main as youtu_export

CONTEXT = 2048
_ZEPHYR = (
    "{% for message in messages %}{% set role = 'user' if message['role'] == 'tool' else message['role'] %}"
    "{{ '<|' + role + '|>\n' + message['content'] + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""TinyLlama's."""
_SETTINGS: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "chat_template": _ZEPHYR}


def make_tinyllama(directory: Path) -> Path:
    """A llama whose normalizer writes a space before every stretch of text, with a space-stripping decoder and BOS."""
    tokenizer = make_sentence_piece("prepend")
    checkpoint = directory / "checkpoint"
    checkpoint.mkdir()
    make_tiny_checkpoint(checkpoint, context_length=CONTEXT, layers=1, tokenizer=tokenizer, settings=_SETTINGS)
    return _export("hf", checkpoint, directory)


def make_chatglm(directory: Path) -> Path:
    """ChatGLM3's layers with a unigram model, a normalizer, and a space before the first word only."""
    tokenizer = make_sentence_piece("unigram")
    config = small_families.CONFIGS["chatglm"] | {
        "padded_vocab_size": len(TOKENS),
        "seq_length": CONTEXT,
        "eos_token_id": tokenizer.token_to_id("</s>"),
    }
    tensors = small_families.random_tensors(config)
    tensors["transformer.output_layer.weight"] *= _favour_printable(tokenizer)
    checkpoint = small_families.write_checkpoint(directory / "checkpoint", config, tensors, tokenizer)
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(_SETTINGS))
    return _export("hf", checkpoint, directory)


def make_gguf_llama(directory: Path) -> Path:
    """A GGUF file of the kind `llama` that says that no space belongs before the first word."""
    tokenizer = make_sentence_piece("gguf without prefix")
    random = np.random.default_rng(3)
    table = random.standard_normal((2, len(TOKENS), small_gguf.HIDDEN)).astype(np.float32)
    tensors = small_gguf.random_tensors() | {
        "token_embd.weight": table[0],
        "output.weight": table[1] * _favour_printable(tokenizer) / 4,
    }
    known = gguf_metadata(add_space_prefix=False) | {
        "llama.vocab_size": len(TOKENS),
        "llama.context_length": CONTEXT,
        "tokenizer.chat_template": _ZEPHYR,
    }
    path = small_gguf.write_gguf(directory / "model.gguf", tensors, metadata=known)
    return _export("gguf", path, directory)


MODELS = {"tinyllama": make_tinyllama, "chatglm": make_chatglm, "gguf-llama": make_gguf_llama}


def _favour_printable(tokenizer: Tokenizer) -> Any:
    """[vocab, 1]: zero for what is not printable, so that greedy text is."""
    return 2 * printable(tokenizer)[:, None]


def _export(kind: str, source: Path, directory: Path) -> Path:
    package = directory / "package"
    assert youtu_export([kind, str(source), str(package), "--recipe", "f32"]) == 0
    return package
