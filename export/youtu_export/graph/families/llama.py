"""Llama: pre-norm RMS, grouped-query attention with half-rotation rope, SwiGLU (Touvron et al. 2023, Llama 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.pre_norm import Attend, PreNormDecoder, gated_feed_forward
from youtu_export.graph.model_spec import ModelSpec
from youtu_export.graph.rope import rope_from_config

_FACTORS = "rope_freqs.weight"


def read_grouped_query_spec(checkpoint: Checkpoint, family: str) -> ModelSpec:
    """Sizes, named as in Llama and its relatives."""
    config = checkpoint.config
    config.only("hidden_act", ("silu",), "silu")
    config.only("partial_rotary_factor", (1, 1.0), 1)
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    head_width = config.size("head_dim", hidden // heads)
    # GGUF stores Llama 3's frequency scaling as a tensor instead of its parameters.
    factors = checkpoint.take(_FACTORS, head_width // 2).values() if checkpoint.has(_FACTORS) else None
    return ModelSpec(
        family=family,
        layers=config.layers("num_hidden_layers"),
        hidden=hidden,
        feed_forward=config.size("intermediate_size"),
        heads=heads,
        kv_heads=config.size("num_key_value_heads", heads),
        head_width=head_width,
        vocab=config.size("vocab_size"),
        context_length=config.integer("max_position_embeddings"),
        norm_epsilon=config.number("rms_norm_eps"),
        rope=rope_from_config(config, head_width, factors),
        tied_head=config.flag("tie_word_embeddings"),
    )


def grouped_query_attention(bias: bool | None) -> Attend:
    """Attention with q_proj, k_proj and v_proj; for `bias` see Decoder.linear."""

    def attend(decoder: Decoder, path: str, name: str, x: str, layer: int) -> str:
        spec = decoder.spec
        widths = [heads * spec.head_width for heads in (spec.heads, spec.kv_heads, spec.kv_heads)]
        projections = [f"{name}.self_attn.{part}_proj" for part in ("q", "k", "v")]
        return decoder.attention(path, decoder.linear(f"{path}/qkv", x, projections, widths, spec.hidden, bias), layer)

    return attend


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    for bias in ("attention_bias", "mlp_bias"):
        checkpoint.config.get(bias)  # the tensors themselves show it
    return read_grouped_query_spec(checkpoint, "llama")


def _build(decoder: Decoder, layer_done: Callable[[], None]) -> str:
    return PreNormDecoder(
        attend=grouped_query_attention(bias=None),
        feed_forward=gated_feed_forward,
        context_width=decoder.spec.heads * decoder.spec.head_width,
        output_bias=None,
    ).build(decoder, layer_done)


LLAMA = Family(("llama",), _read_spec, _build)
