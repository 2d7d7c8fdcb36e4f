"""Llama: pre-norm RMS, grouped-query attention with half-rotation rope, SwiGLU (Touvron et al. 2023, Llama 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable

from youtu_edge.package import CacheGeometry, CacheType

from youtu_export.checkpoint import Checkpoint
from youtu_export.decoder import Decoder
from youtu_export.families.family import Family
from youtu_export.model_spec import ModelSpec
from youtu_export.rope import rope_from_config

_FACTORS = "rope_freqs.weight"


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    config = checkpoint.config
    config.only("hidden_act", ("silu",), "silu")
    config.only("partial_rotary_factor", (1, 1.0), 1)
    for bias in ("attention_bias", "mlp_bias"):
        config.get(bias)  # told by the tensors themselves
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    head_width = config.integer("head_dim", hidden // heads)
    # GGUF stores Llama 3's frequency scaling as a tensor instead of its parameters.
    factors = checkpoint.take(_FACTORS, head_width // 2).values() if checkpoint.has(_FACTORS) else None
    return ModelSpec(
        family="llama",
        layers=config.integer("num_hidden_layers"),
        hidden=hidden,
        feed_forward=config.integer("intermediate_size"),
        heads=heads,
        kv_heads=config.integer("num_key_value_heads", heads),
        head_width=head_width,
        vocab=config.integer("vocab_size"),
        context_length=config.integer("max_position_embeddings"),
        norm_epsilon=config.number("rms_norm_eps"),
        rope=rope_from_config(config, head_width, factors),
        tied_head=bool(config.get("tie_word_embeddings", False)),
    )


def _cache(spec: ModelSpec, dtype: CacheType) -> CacheGeometry:
    return CacheGeometry(layout="SEPARATE", layers=spec.layers, kv_heads=spec.kv_heads, width=spec.head_width, dtype=dtype)


def _build(decoder: Decoder, layer_done: Callable[[], None]) -> str:
    spec = decoder.spec
    widths = (spec.heads * spec.head_width, spec.kv_heads * spec.head_width, spec.kv_heads * spec.head_width)
    residual = decoder.embed("model.embed_tokens")
    feed_forward = ""
    for layer in range(spec.layers):
        path, name = f"/model/layers.{layer}", f"model.layers.{layer}"
        if layer == 0:
            normed = decoder.rms_norm(f"{path}/attn_norm", residual, f"{name}.input_layernorm")
        else:
            normed, residual = decoder.add_rms_norm(f"{path}/attn_norm", feed_forward, residual, f"{name}.input_layernorm")
        projections = [f"{name}.self_attn.{part}_proj" for part in ("q", "k", "v")]
        qkv = decoder.linear(f"{path}/attn/qkv", normed, projections, widths, spec.hidden)
        context = decoder.attention(f"{path}/attn", qkv, layer)
        if layer == spec.layers - 1:
            context = decoder.logit_rows(f"{path}/attn", context)
            residual = decoder.logit_rows(f"{path}/residual", residual)
        attended = decoder.linear(f"{path}/attn/o", context, [f"{name}.self_attn.o_proj"], [spec.hidden], widths[0])
        normed, residual = decoder.add_rms_norm(f"{path}/mlp_norm", attended, residual, f"{name}.post_attention_layernorm")
        parts = [f"{name}.mlp.{part}_proj" for part in ("gate", "up", "down")]
        feed_forward = decoder.swiglu(f"{path}/mlp", normed, *parts)
        layer_done()
    normed, _ = decoder.add_rms_norm("/model/norm", feed_forward, residual, "model.norm")
    return decoder.head(normed, "model.embed_tokens", "lm_head")


LLAMA = Family("llama", _read_spec, _cache, _build)
