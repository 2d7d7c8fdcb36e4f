"""The tensors of the small checkpoints of `small_families`, and their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiny_model import make_tokenizer

HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, LAYERS, WIDTH = 64, 96, 4, 2, 2, 16
WIDE = 32
"""Of heads that are wider together than the hidden size."""
RANK, Q_RANK, NOPE, ROPE, VALUE = 32, 64, 32, 8, 32
VOCAB = make_tokenizer().get_vocab_size()
_GROUPED = {
    **{f"{part}_proj.weight": (KV_HEADS * WIDTH, HIDDEN) for part in "kv"},
    **{f"{part}_proj.weight": (HIDDEN, HIDDEN) for part in "qo"},
}
_NORMED = {
    **{f"{part}_proj.weight": (KV_HEADS * WIDE, HIDDEN) for part in "kv"},
    **{f"{part}_norm.weight": (WIDE,) for part in "qk"},
    "q_proj.weight": (HEADS * WIDE, HIDDEN),
    "o_proj.weight": (HIDDEN, HEADS * WIDE),
}
_ATTENTION = {
    "youtu": {
        "q_a_proj.weight": (Q_RANK, HIDDEN),
        "q_a_layernorm.weight": (Q_RANK,),
        "q_b_proj.weight": (HEADS * (NOPE + ROPE), Q_RANK),
        "kv_a_proj_with_mqa.weight": (RANK + ROPE, HIDDEN),
        "kv_a_layernorm.weight": (RANK,),
        "kv_b_proj.weight": (HEADS * (NOPE + VALUE), RANK),
        "o_proj.weight": (HIDDEN, HEADS * VALUE),
    },
    "qwen2": {
        **_GROUPED,
        **{f"{part}_proj.bias": (KV_HEADS * WIDTH,) for part in "kv"},
        "q_proj.bias": (HIDDEN,),
    },
    **dict.fromkeys(("qwen3", "gemma3"), _NORMED),
    **dict.fromkeys(("mistral", "smollm3", "granite", "minicpm"), _GROUPED),
    "phi": {
        **{f"{part}.weight": (HIDDEN, HIDDEN) for part in ("q_proj", "k_proj", "v_proj", "dense")},
        **{f"{part}.bias": (HIDDEN,) for part in ("q_proj", "k_proj", "v_proj", "dense")},
    },
    "phi3": {"qkv_proj.weight": (HIDDEN + 2 * KV_HEADS * WIDTH, HIDDEN), "o_proj.weight": (HIDDEN, HIDDEN)},
    "chatglm": {
        "query_key_value.weight": (HIDDEN + 2 * KV_HEADS * WIDTH, HIDDEN),
        "query_key_value.bias": (HIDDEN + 2 * KV_HEADS * WIDTH,),
        "dense.weight": (HIDDEN, HIDDEN),
    },
}
_GATED = {
    "gate_proj.weight": (FEED_FORWARD, HIDDEN),
    "up_proj.weight": (FEED_FORWARD, HIDDEN),
    "down_proj.weight": (HIDDEN, FEED_FORWARD),
}
_FEED_FORWARD = {
    **dict.fromkeys(("youtu", "qwen2", "qwen3", "mistral", "smollm3", "gemma3", "granite", "minicpm"), _GATED),
    "phi": {
        "fc1.weight": (FEED_FORWARD, HIDDEN),
        "fc1.bias": (FEED_FORWARD,),
        "fc2.weight": (HIDDEN, FEED_FORWARD),
        "fc2.bias": (HIDDEN,),
    },
    "phi3": {"gate_up_proj.weight": (2 * FEED_FORWARD, HIDDEN), "down_proj.weight": (HIDDEN, FEED_FORWARD)},
    "chatglm": {"dense_h_to_4h.weight": (2 * FEED_FORWARD, HIDDEN), "dense_4h_to_h.weight": (HIDDEN, FEED_FORWARD)},
}


def num_layers(config: Mapping[str, Any]) -> int:
    """Under either name."""
    count: int = config.get("num_hidden_layers") or config["num_layers"]
    return count


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that a checkpoint of this configuration has."""
    family = config["model_type"].removesuffix("_llm").removesuffix("_text")
    is_glm, norms = family == "chatglm", {"input_layernorm.weight": (HIDDEN,), "post_attention_layernorm.weight": (HIDDEN,)}
    if family == "phi":
        norms = {f"input_layernorm.{part}": (HIDDEN,) for part in ("weight", "bias")}
    if family == "gemma3":
        norms |= {f"{part}_feedforward_layernorm.weight": (HIDDEN,) for part in ("pre", "post")}
    attention = dict(_ATTENTION[family])
    if config.get("q_lora_rank", 0) is None:
        attention = {name: shape for name, shape in attention.items() if not name.startswith("q_")}
        attention["q_proj.weight"] = (HEADS * (NOPE + ROPE), HIDDEN)
    if config.get("attention_bias"):
        for name in ("q_a_proj", "kv_a_proj_with_mqa", "o_proj"):
            if f"{name}.weight" in attention:
                attention[f"{name}.bias"] = attention[f"{name}.weight"][:1]
    layer = {**norms, **{f"{'self_attention' if is_glm else 'self_attn'}.{n}": s for n, s in attention.items()}}
    layer |= {f"mlp.{name}": shape for name, shape in _FEED_FORWARD[family].items()}
    table, layers, norm, head = ("model.embed_tokens", "model.layers", "model.norm", "lm_head")
    if is_glm:
        table, layers = "transformer.embedding.word_embeddings", "transformer.encoder.layers"
        norm, head = "transformer.encoder.final_layernorm", "transformer.output_layer"
    found = {f"{layers}.{index}.{name}": shape for index in range(num_layers(config)) for name, shape in layer.items()}
    vocab = config.get("padded_vocab_size") or config.get("vocab_size") or VOCAB
    found[f"{table}.weight"] = (vocab, HIDDEN)
    if family == "phi":
        norm = "model.final_layernorm"
        found |= {f"{norm}.bias": (HIDDEN,), f"{head}.bias": (vocab,)}
    found[f"{norm}.weight"] = (HIDDEN,)
    if not config.get("tie_word_embeddings", family == "gemma3"):
        found[f"{head}.weight"] = (vocab, HIDDEN)
    return found
