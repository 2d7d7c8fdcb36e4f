"""Phi 3, 3.5, 4 and 4-mini: Llama with fused projections, which may rotate only a part of each head (Abdin et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.pre_norm import PreNormDecoder
from youtu_export.graph.layer_windows import windows_from_config
from youtu_export.graph.long_rope import rope_pair_from_config
from youtu_export.graph.model_spec import ModelSpec
from youtu_export.graph.rope import partial_rope_from_config

_FIXED = {
    "attention_bias": False,
    "mlp_bias": False,
    "lm_head_bias": False,
    "full_attn_mod": 1,
    "interpolate_factor": 1,
}
"""Switches of the original code; the graph implements these values."""
_TRAINING = ("resid_pdrop", "embd_pdrop")


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    config = checkpoint.config
    config.only("hidden_act", ("silu",), "silu")
    for key, value in _FIXED.items():
        config.only(key, (value,), value)
    for key in _TRAINING:
        config.get(key)
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    head_width = config.size("head_dim", hidden // heads)
    layers = config.layers("num_hidden_layers")
    ropes = rope_pair_from_config(checkpoint, head_width)
    if ropes is None:
        config.get("original_max_position_embeddings")  # without effect on frequencies that are not scaled
    return ModelSpec(
        family="phi3",
        layers=layers,
        hidden=hidden,
        feed_forward=config.size("intermediate_size"),
        heads=heads,
        kv_heads=config.size("num_key_value_heads", heads),
        head_width=head_width,
        vocab=config.size("vocab_size"),
        context_length=ropes.context if ropes else config.integer("max_position_embeddings"),
        norm_epsilon=config.number("rms_norm_eps"),
        rope=ropes.short if ropes else partial_rope_from_config(config, head_width, default=1),
        long_rope=ropes.long if ropes else None,
        tied_head=config.flag("tie_word_embeddings"),
        windows=windows_from_config(config, layers),
    )


def _build(decoder: Decoder, layer_done: Callable[[], None]) -> str:
    return PreNormDecoder(
        attend=_attend,
        feed_forward=_feed_forward,
        context_width=decoder.spec.heads * decoder.spec.head_width,
        output_bias=False,
    ).build(decoder, layer_done)


def _attend(decoder: Decoder, path: str, name: str, x: str, layer: int) -> str:
    spec = decoder.spec
    width = (spec.heads + 2 * spec.kv_heads) * spec.head_width
    qkv = decoder.linear(f"{path}/qkv", x, [f"{name}.self_attn.qkv_proj"], [width], spec.hidden, bias=False)
    return decoder.attention(path, qkv, layer)


def _feed_forward(decoder: Decoder, path: str, name: str, x: str) -> str:
    return decoder.swiglu(path, x, [f"{name}.mlp.gate_up_proj"], f"{name}.mlp.down_proj", bias=False)


PHI3 = Family("phi3", "Phi 3, 3.5, 4 and 4-mini without experts and images", ("phi3",), _read_spec, _build)
