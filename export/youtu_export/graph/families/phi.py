"""Phi 1, 1.5 and 2: layer norms with bias, attention and feed-forward in parallel, biases everywhere (Li et al. 2023).

x -> norm -+-> attention ----+
           +-> feed-forward -+-> add to x
"""

from __future__ import annotations

from collections.abc import Callable

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families.family import Family
from youtu_export.graph.model_spec import ModelSpec
from youtu_export.graph.rope import partial_rope_from_config


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    config = checkpoint.config
    config.only("hidden_act", ("gelu_new",), None)
    config.only("qk_layernorm", (False,), False)
    for dropout in ("embd_pdrop", "resid_pdrop"):
        config.get(dropout)  # training only
    config.reject_window_layers()
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    head_width = hidden // heads
    config.expect("head_dim", (head_width,))
    return ModelSpec(
        family="phi",
        layers=config.layers("num_hidden_layers"),
        hidden=hidden,
        feed_forward=config.size("intermediate_size"),
        heads=heads,
        kv_heads=config.size("num_key_value_heads", heads),
        head_width=head_width,
        vocab=config.size("vocab_size"),
        context_length=config.integer("max_position_embeddings"),
        norm_epsilon=config.number("layer_norm_eps"),
        rope=partial_rope_from_config(config, head_width),
        tied_head=bool(config.only("tie_word_embeddings", (False,), False)),
    )


def _build(decoder: Decoder, layer_done: Callable[[], None]) -> str:
    graph, spec = decoder.graph, decoder.spec
    residual = decoder.embed("model.embed_tokens")
    for layer in range(spec.layers):
        path, name = f"/model/layers.{layer}", f"model.layers.{layer}"
        normed = decoder.layer_norm(f"{path}/norm", residual, f"{name}.input_layernorm")
        context = _attend(decoder, f"{path}/attn", f"{name}.self_attn", normed, layer)
        if layer == spec.layers - 1:
            context, normed, residual = (
                decoder.logit_rows(f"{path}/{part}", rows)
                for part, rows in (("attn", context), ("norm", normed), ("residual", residual))
            )
        output = [f"{name}.self_attn.dense"]
        attended = decoder.linear(f"{path}/attn/o", context, output, [spec.hidden], spec.hidden, bias=True)
        changed = decoder.gelu(f"{path}/mlp", normed, f"{name}.mlp.fc1", f"{name}.mlp.fc2")
        residual = graph.node("Sum", [residual, attended, changed], f"{path}/Sum")
        layer_done()
    normed = decoder.layer_norm("/model/norm", residual, "model.final_layernorm")
    return decoder.head(normed, "model.embed_tokens", "lm_head", bias=True)


def _attend(decoder: Decoder, path: str, name: str, x: str, layer: int) -> str:
    spec = decoder.spec
    widths = [heads * spec.head_width for heads in (spec.heads, spec.kv_heads, spec.kv_heads)]
    projections = [f"{name}.{part}_proj" for part in ("q", "k", "v")]
    return decoder.attention(path, decoder.linear(f"{path}/qkv", x, projections, widths, spec.hidden, bias=True), layer)


PHI = Family("phi", "Phi 1, 1.5 and 2", ("phi",), _read_spec, _build)
