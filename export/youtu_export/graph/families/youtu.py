"""Youtu-LLM: multi-head latent attention in its absorbed form, SwiGLU (DeepSeek-V2, sections 2.1.2 and 2.1.3).

A cache row [c | k_rope] is the key and the value of all heads. The expansions for every token of the context,
k_nope = W_UK c and v = W_UV c, move to the query's side:

    q_nope . (W_UK c)  = (W_UK^T q_nope) . c        sum_t p_t W_UV c_t = W_UV (sum_t p_t c_t)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.checkpoints.stored_tensor import Float32, StoredTensor
from youtu_export.errors import ExportError
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.pre_norm import PreNormDecoder, gated_feed_forward
from youtu_export.graph.model_spec import LatentAttention, ModelSpec
from youtu_export.graph.rope import rope_from_config, yarn_from_config

_LATENT_EPSILON = 1e-6
"""For the norms of both latents, whatever rms_norm_eps says."""
_EXPERT_KEYS = (
    "n_shared_experts", "num_experts_per_tok", "moe_intermediate_size", "first_k_dense_replace", "moe_layer_freq",
    "n_group", "topk_group", "topk_method", "norm_topk_prob", "scoring_func", "routed_scaling_factor", "aux_loss_alpha",
    "seq_aux", "ep_size",
)  # fmt: skip


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    config = checkpoint.config
    config.only("hidden_act", ("silu",), "silu")
    for bias in ("mlp_bias", "use_sliding_window"):
        config.only(bias, (False,), False)
    config.only("n_routed_experts", (0,), 0)
    for key in ("embedding_initializer_range", *_EXPERT_KEYS):
        config.get(key)  # initialisation, and keys of experts, which the model does not have
    config.reject_window_layers()
    yarn = yarn_from_config(config)
    latent = _read_latent(config, 1.0 if yarn is None else yarn.softmax_scale)
    heads = config.size("num_attention_heads")
    config.expect("num_key_value_heads", (heads, 1))
    return ModelSpec(
        family="youtu",
        layers=config.layers("num_hidden_layers"),
        hidden=config.size("hidden_size"),
        feed_forward=config.size("intermediate_size"),
        heads=heads,
        kv_heads=1,
        head_width=latent.kv_lora_rank + latent.rope_width,
        vocab=config.size("vocab_size"),
        context_length=config.integer("max_position_embeddings"),
        norm_epsilon=config.number("rms_norm_eps"),
        rope=rope_from_config(config, latent.rope_width, yarn=yarn),
        tied_head=config.flag("tie_word_embeddings"),
        latent=latent,
    )


def _read_latent(config: ModelConfig, softmax_scale: float) -> LatentAttention:
    rope_width = config.size("qk_rope_head_dim")
    nope_width = config.size("qk_nope_head_dim")
    # Both are derived, and head_dim is only the rotated part: they are checked but not used.
    config.expect("head_dim", (rope_width,))
    config.expect("qk_head_dim", (nope_width + rope_width,))
    return LatentAttention(
        q_lora_rank=config.size("q_lora_rank") if config.get("q_lora_rank") is not None else None,
        kv_lora_rank=config.size("kv_lora_rank"),
        nope_width=nope_width,
        rope_width=rope_width,
        value_width=config.size("v_head_dim"),
        bias=bool(config.only("attention_bias", (True, False), False)),
        score_scale=float((nope_width + rope_width) ** -0.5) * softmax_scale,
        interleaved=bool(config.only("rope_interleave", (True, False), True)),
    )


def _build(decoder: Decoder, layer_done: Callable[[], None]) -> str:
    latent = _latent(decoder)
    return PreNormDecoder(
        attend=_attend,
        feed_forward=gated_feed_forward,
        context_width=decoder.spec.heads * latent.value_width,
        output_bias=latent.bias,
    ).build(decoder, layer_done)


def _attend(decoder: Decoder, path: str, name: str, x: str, layer: int) -> str:
    graph, heads, latent = decoder.graph, decoder.spec.heads, _latent(decoder)
    attention = f"{name}.self_attn"
    row = [latent.kv_lora_rank, latent.rope_width]
    if latent.q_lora_rank is None:
        compressed = decoder.linear(
            f"{path}/kv_a", x, [f"{attention}.kv_a_proj_with_mqa"], [sum(row)], decoder.spec.hidden, latent.bias
        )
        c, k_rope = graph.split(f"{path}/kv_a/Split", compressed, row)
        query = _queries(decoder, f"{path}/q", x, f"{attention}.q_proj", decoder.spec.hidden)
    else:
        names = [f"{attention}.q_a_proj", f"{attention}.kv_a_proj_with_mqa"]
        widths = [latent.q_lora_rank, sum(row)]
        compressed = decoder.linear(f"{path}/q_a_kv_a", x, names, widths, decoder.spec.hidden, latent.bias)
        q, c, k_rope = graph.split(f"{path}/q_a_kv_a/Split", compressed, [latent.q_lora_rank, *row])
        q = decoder.rms_norm(f"{path}/q_a_norm", q, f"{attention}.q_a_layernorm", latent.q_lora_rank, _LATENT_EPSILON)
        query = _queries(decoder, f"{path}/q_b", q, f"{attention}.q_b_proj", latent.q_lora_rank)
    c = decoder.rms_norm(f"{path}/kv_a_norm", c, f"{attention}.kv_a_layernorm", latent.kv_lora_rank, _LATENT_EPSILON)
    key = graph.node("Concat", [c, k_rope], f"{path}/key", axis=1)
    to_latent, to_value, source = _expansions(decoder.checkpoint, attention, heads, latent)
    q_nope, q_rope = graph.split(f"{path}/q/Split", query, [heads * latent.nope_width, heads * latent.rope_width])
    q_latent = decoder.matrices.headwise(f"{path}/k_b", q_nope, to_latent, source)
    parts = [
        graph.reshape(f"{path}/query/{part}", values, (0, heads, width))
        for part, values, width in (("latent", q_latent, row[0]), ("rope", q_rope, row[1]))
    ]
    query = graph.reshape(
        f"{path}/query", graph.node("Concat", parts, f"{path}/query/by_head", axis=2), (0, heads * sum(row))
    )
    context = decoder.latent_attention(path, query, key, layer, latent)
    return decoder.matrices.headwise(f"{path}/v_b", context, to_value, source)


def _queries(decoder: Decoder, path: str, x: str, name: str, columns: int) -> str:
    """[T, nope of all heads | rope of all heads]; the checkpoint stores both parts head by head."""
    heads, latent = decoder.spec.heads, _latent(decoder)
    tensor = decoder.checkpoint.take(f"{name}.weight", heads * (latent.nope_width + latent.rope_width), columns)
    nope, rope = _part_rows(heads, latent.nope_width, latent.rope_width)
    return decoder.matrices.linear(path, x, [tensor.select_rows(np.concatenate([nope, rope]))])


def _expansions(
    checkpoint: Checkpoint, attention: str, heads: int, latent: LatentAttention
) -> tuple[Float32, Float32, StoredTensor]:
    """W_UK^T [heads, kv_lora_rank, nope] and W_UV [heads, value, kv_lora_rank], and a tensor for errors to name."""
    rank, nope_width, value_width = latent.kv_lora_rank, latent.nope_width, latent.value_width
    if checkpoint.has(f"{attention}.k_b_proj.weight"):  # GGUF stores them separately, and the first one transposed
        keys = checkpoint.take(f"{attention}.k_b_proj.weight", heads, rank, nope_width)
        return keys.values(), checkpoint.take(f"{attention}.v_b_proj.weight", heads, value_width, rank).values(), keys
    both = checkpoint.take(f"{attention}.kv_b_proj.weight", heads * (nope_width + value_width), rank)
    nope, value = _part_rows(heads, nope_width, value_width)
    to_latent = both.select_rows(nope).values().reshape(heads, nope_width, rank).swapaxes(1, 2)
    return np.ascontiguousarray(to_latent), both.select_rows(value).values().reshape(heads, value_width, rank), both


def _part_rows(heads: int, first: int, second: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the first and of the second part of every head, stored head by head."""
    rows = np.arange(heads * (first + second), dtype=np.int64).reshape(heads, first + second)
    return rows[:, :first].reshape(-1), rows[:, first:].reshape(-1)


def _latent(decoder: Decoder) -> LatentAttention:
    if decoder.spec.latent is None:
        raise ExportError("a model of the youtu family needs latent attention")
    return decoder.spec.latent


YOUTU = Family("youtu", "Youtu-LLM", ("youtu", "youtu_llm"), _read_spec, _build)
