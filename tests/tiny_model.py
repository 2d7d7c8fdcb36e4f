"""A tiny Llama with random weights, exported by the real exporter: the model of most engine and server tests.

Its text is meaningless but deterministic for a seed, printable ASCII, and depends on every earlier token, so that a wrong
page, slot or position shows as other tokens. It never ends by itself under greedy decoding.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from youtu_export.checkpoints.hf_reader import open_hf
from youtu_export.export import export
from youtu_export.quantise.recipes import RECIPES

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
END_TOKEN = "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a tiny test model<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_MERGED = ("th", "the", "in", "an", "and", "er", "on", "re", "st", "en", "ing", "Ġt", "Ġthe", "Ġa", "Ġin", "Ġs", "Ġan")

Float32 = npt.NDArray[np.float32]


def make_tied_and_untied(directory: Path) -> tuple[Path, Path]:
    """Two checkpoints below a directory: one whose head is its table, and one whose head is a copy of it."""
    (directory / "tied").mkdir()
    tied = make_tiny_checkpoint(directory / "tied", tied=True)
    untied = shutil.copytree(tied, directory / "untied")
    tensors = load_file(untied / "model.safetensors")
    save_file(tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"]}, untied / "model.safetensors")
    config = json.loads((untied / "config.json").read_text())
    (untied / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    return tied, untied


def make_tiny_package(
    out: Path,
    *,
    recipe: str = "f32",
    context_length: int = 512,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    seed: int = 0,
    name: str = "tiny",
) -> Path:
    """Export a tiny model to the new directory `out` and return it. hidden 64, vocabulary 276."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "tiny"  # the manifest names it, and two packages must be able to be the same
        source.mkdir()
        checkpoint = make_tiny_checkpoint(
            source, context_length=context_length, layers=layers, heads=heads, kv_heads=kv_heads, seed=seed
        )
        export(open_hf(checkpoint), out, dataclasses.replace(RECIPES[recipe], block=32), name=name)
    return out


def make_tiny_checkpoint(
    directory: Path,
    *,
    context_length: int = 512,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    seed: int = 0,
    tied: bool = False,
    biases: bool = False,
    hidden: int = 64,
    tokenizer: Tokenizer | None = None,
    settings: dict[str, Any] | None = None,
) -> Path:
    """Write a checkpoint in Hugging Face's format into an existing directory and return it.

    tokenizer, settings: instead of the byte-level one and its tokenizer_config.json.
    """
    tokenizer = tokenizer or make_tokenizer()
    settings = settings or {"bos_token": None, "eos_token": END_TOKEN, "chat_template": CHAT_TEMPLATE}
    vocab, head_width = tokenizer.get_vocab_size(), hidden // heads
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": context_length,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": kv_heads,
        "head_dim": head_width,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": tied,
        "vocab_size": vocab,
        "eos_token_id": tokenizer.token_to_id(settings["eos_token"]),
        "attention_bias": biases,
        "mlp_bias": biases,
    }
    random = np.random.default_rng(seed)
    tensors = _tensors(random, tokenizer, layers, hidden, kv_heads * head_width, tied=tied, biases=biases)
    save_file(tensors, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps(config, indent=1))
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


def make_tokenizer() -> Tokenizer:
    """Byte-level BPE: 256 bytes, a few merges, and three control tokens."""
    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {text: index for index, text in enumerate((*SPECIAL_TOKENS, *characters, *_MERGED))}
    merges = [_halves(text, vocab) for text in _MERGED]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL_TOKENS])
    return tokenizer


def _halves(text: str, vocab: dict[str, int]) -> tuple[str, str]:
    cuts = [(text[:cut], text[cut:]) for cut in range(len(text) - 1, 0, -1)]
    return next(halves for halves in cuts if halves[0] in vocab and halves[1] in vocab)


def _tensors(
    random: np.random.Generator,
    tokenizer: Tokenizer,
    layers: int,
    hidden: int,
    kv_width: int,
    *,
    tied: bool,
    biases: bool,
) -> dict[str, Float32]:
    """Random weights whose attention and feed-forward outweigh the token itself, so that the text does not settle."""
    shapes = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (kv_width, hidden),
        "self_attn.v_proj": (kv_width, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (2 * hidden, hidden),
        "mlp.up_proj": (2 * hidden, hidden),
        "mlp.down_proj": (hidden, 2 * hidden),
    }

    def normal(*shape: int, scale: float) -> Float32:
        return random.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    vocab = tokenizer.get_vocab_size()
    tensors = {
        "model.embed_tokens.weight": normal(vocab, hidden, scale=1.0),
        "model.norm.weight": 1 + normal(hidden, scale=0.1),
    }
    for layer in range(layers):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{norm}.weight"] = 1 + normal(hidden, scale=0.1)
        for part, shape in shapes.items():
            tensors[f"model.layers.{layer}.{part}.weight"] = normal(*shape, scale=2.0 * shape[1] ** -0.5)
            if biases:
                tensors[f"model.layers.{layer}.{part}.bias"] = normal(shape[0], scale=0.2)
    if not tied:
        # Rows of zeros give control tokens and unprintable bytes the logit 0, far below the best of the others.
        tensors["lm_head.weight"] = normal(vocab, hidden, scale=4.0 * hidden**-0.5) * printable(tokenizer)[:, None]
    return tensors


def printable(tokenizer: Tokenizer) -> Float32:
    """[vocab]: one for every token that is printable ASCII, zero for the others."""
    texts = [tokenizer.decode([token]) for token in range(tokenizer.get_vocab_size())]
    return np.array([text.isascii() and text.isprintable() and text != "" for text in texts], dtype=np.float32)
