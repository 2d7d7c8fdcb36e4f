"""Llama: pre-norm RMS, grouped-query attention with half-rotation rope, SwiGLU (Touvron et al. 2023, Llama 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.pre_norm import Attend, PreNormDecoder, gated_feed_forward
from youtu_export.graph.long_rope import rope_pair_from_config
from youtu_export.graph.model_spec import ModelSpec
from youtu_export.graph.rope import rope_from_config

_FACTORS = "rope_freqs.weight"


def read_grouped_query_spec(
    checkpoint: Checkpoint, family: str, *, head_width: int | None = None, rope_base: float | None = None
) -> ModelSpec:
    """Sizes, named as in Llama and its relatives.

    head_width: that of a configuration without head_dim; by default hidden / heads. rope_base: that of a configuration
    without rope_theta; if it is None, rope_theta is required.
    """
    config = checkpoint.config
    config.only("hidden_act", ("silu",), "silu")
    config.only("partial_rotary_factor", (1, 1.0), 1)
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    head_width = config.size("head_dim", head_width or hidden // heads)
    # GGUF stores Llama 3's frequency scaling as a tensor instead of its parameters.
    factors = checkpoint.take(_FACTORS, head_width // 2).values() if checkpoint.has(_FACTORS) else None
    ropes = rope_pair_from_config(checkpoint, head_width, rope_base)
    return ModelSpec(
        family=family,
        layers=config.layers("num_hidden_layers"),
        hidden=hidden,
        feed_forward=config.size("intermediate_size"),
        heads=heads,
        kv_heads=config.size("num_key_value_heads", heads),
        head_width=head_width,
        vocab=config.size("vocab_size"),
        context_length=ropes.context if ropes else config.integer("max_position_embeddings"),
        norm_epsilon=config.number("rms_norm_eps"),
        rope=ropes.short if ropes else rope_from_config(config, head_width, factors, base=rope_base),
        long_rope=ropes.long if ropes else None,
        tied_head=config.flag("tie_word_embeddings"),
    )


def grouped_query_attention(bias: bool | None) -> Attend:
    """Attention with q_proj, k_proj and v_proj; for `bias` see Decoder.linear."""

    def attend(decoder: Decoder, path: str, name: str, x: str, layer: int) -> str:
        return decoder.attention(path, project_query_key_value(decoder, path, name, x, bias), layer)

    return attend


def project_query_key_value(decoder: Decoder, path: str, name: str, x: str, bias: bool | None) -> str:
    """q_proj, k_proj and v_proj of x side by side, [T, (heads + 2 kv_heads) * width]; for `bias` see Decoder.linear."""
    spec = decoder.spec
    widths = [heads * spec.head_width for heads in (spec.heads, spec.kv_heads, spec.kv_heads)]
    projections = [f"{name}.self_attn.{part}_proj" for part in ("q", "k", "v")]
    return decoder.linear(f"{path}/qkv", x, projections, widths, spec.hidden, bias)


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    for bias in ("attention_bias", "mlp_bias"):
        checkpoint.config.get(bias)  # the tensors themselves show it
    return read_grouped_query_spec(checkpoint, "llama")


def build_llama(decoder: Decoder, layer_done: Callable[[], None]) -> str:
    """The graph, with the biases that the checkpoint has; returns the name of the logits."""
    return PreNormDecoder(
        attend=grouped_query_attention(bias=None),
        feed_forward=gated_feed_forward,
        context_width=decoder.spec.heads * decoder.spec.head_width,
        output_bias=None,
    ).build(decoder, layer_done)


LLAMA = Family(
    "llama",
    "SmolLM2, TinyLlama, Llama 2 to 3.2, Yi, and DeepSeek-R1's distillations to Llama",
    ("llama",),
    _read_spec,
    build_llama,
)
