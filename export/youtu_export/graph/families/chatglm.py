"""ChatGLM 2, 3 and GLM-4 with their original names: fused qkv, rope on neighbours in half of each head, packed SwiGLU.

ChatGLM-6B, the first one, has the same model_type but is a different model: see chatglm_first.py.
"""

from __future__ import annotations

from collections.abc import Callable

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.model_config import positive_number
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.pre_norm import PreNormDecoder
from youtu_export.graph.model_spec import ModelSpec
from youtu_export.graph.rope import plain_rope

_THETA = 10000.0
"""The base of the architecture, which config.json can only multiply, by rope_ratio."""
_FIXED = {
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "apply_residual_connection_post_layernorm": False,
    "fp32_residual_connection": False,
    "multi_query_attention": True,
    "original_rope": True,
    "post_layer_norm": True,
    "rmsnorm": True,
    "prefix_projection": False,
    "quantization_bit": 0,
}
"""Switches of the original code; the graph implements these values."""
_INERT = (
    "apply_query_key_layer_scaling",  # divides before the softmax by a factor that it multiplies inside
    "attention_softmax_in_fp32", "bias_dropout_fusion", "hidden_dropout", "classifier_dropout",
)  # fmt: skip


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    config = checkpoint.config
    for key, value in _FIXED.items():
        config.only(key, (value,), value)
    for key in _INERT:
        config.get(key)
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    head_width = config.size("kv_channels")
    rope_ratio = positive_number(config.path, "rope_ratio", config.get("rope_ratio", 1))
    vocab = config.size("padded_vocab_size")
    config.expect("vocab_size", (vocab,))
    return ModelSpec(
        family="chatglm",
        layers=config.layers("num_layers"),
        hidden=hidden,
        feed_forward=config.size("ffn_hidden_size"),
        heads=heads,
        kv_heads=config.size("multi_query_group_num"),
        head_width=head_width,
        vocab=vocab,
        context_length=config.integer("seq_length"),
        norm_epsilon=config.number("layernorm_epsilon"),
        rope=plain_rope(config, _THETA * rope_ratio, head_width // 2),
        tied_head=config.flag("tie_word_embeddings"),
    )


def _build(decoder: Decoder, layer_done: Callable[[], None]) -> str:
    return PreNormDecoder(
        attend=_attend,
        feed_forward=_feed_forward,
        context_width=decoder.spec.heads * decoder.spec.head_width,
        output_bias=False,
        embedding="transformer.embedding.word_embeddings",
        layers="transformer.encoder.layers",
        attention_output="self_attention.dense",
        final_norm="transformer.encoder.final_layernorm",
        head="transformer.output_layer",
    ).build(decoder, layer_done)


def _attend(decoder: Decoder, path: str, name: str, x: str, layer: int) -> str:
    spec = decoder.spec
    width = (spec.heads + 2 * spec.kv_heads) * spec.head_width
    fused = [f"{name}.self_attention.query_key_value"]
    qkv = decoder.linear(f"{path}/qkv", x, fused, [width], spec.hidden, bias=True)
    return decoder.attention(path, qkv, layer, interleaved=True)


def _feed_forward(decoder: Decoder, path: str, name: str, x: str) -> str:
    return decoder.swiglu(path, x, [f"{name}.mlp.dense_h_to_4h"], f"{name}.mlp.dense_4h_to_h", bias=False)


CHATGLM = Family(
    "chatglm",
    "ChatGLM 2 and 3, GLM-4 under its original names",
    ("chatglm",),
    _read_spec,
    _build,
    end_tokens=("<|user|>", "<|observation|>"),
)
