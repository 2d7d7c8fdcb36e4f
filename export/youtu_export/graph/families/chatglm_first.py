"""ChatGLM-6B, the first generation (Du et al. 2022; Zeng et al. 2023): not the model of its successors.

A prompt ends with [gMASK] <sop>. All tokens before <sop> attend to each other; what follows is causal. Positions are pairs:

    tokens     p0  p1  p2 [gMASK] <sop>  a0  a1
    in prompt   0   1   2    3      3     3   3     rotate the first half of every head
    in answer   0   0   0    0      1     2   3     rotate the second half

The residual is the normed value, scaled: x = norm(x); x = alpha * x + block(x), alpha = sqrt(2 layers).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families.family import Family
from youtu_export.graph.graph import MICROSOFT
from youtu_export.graph.model_spec import ModelSpec
from youtu_export.graph.rope import plain_rope

_THETA = 10000.0
_TEMPLATE = """\
{%- if messages[0].role == 'system' -%}
    {{- messages[0].content + '\n' -}}
    {%- set messages = messages[1:] -%}
{%- endif -%}
{%- if messages | length == 1 -%}
    {{- messages[0].content -}}
{%- else -%}
    {%- for message in messages -%}
        {%- if message.role == 'user' -%}
            {{- '[Round ' ~ (loop.index0 // 2) ~ ']\n问：' + message.content + '\n答：' -}}
        {%- else -%}
            {{- message.content + '\n' -}}
        {%- endif -%}
    {%- endfor -%}
{%- endif -%}
"""
"""The conversation format of the training; checkpoints have it in code, not as a template."""


def is_first_generation(config: ModelConfig) -> bool:
    """Whether a config.json of model_type chatglm describes this model."""
    return config.get("position_encoding_2d") is not None or config.get("inner_hidden_size") is not None


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    config = checkpoint.config
    config.only("position_encoding_2d", (True,), None)
    config.only("quantization_bit", (0,), 0)
    config.only("pre_seq_len", (None,), None)
    config.only("prefix_projection", (False,), False)
    for key in ("mask_token_id", "pad_token_id"):
        config.get(key)
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    head_width = hidden // heads
    config.expect("hidden_size", (heads * head_width,))
    return ModelSpec(
        family="chatglm-6b",
        layers=config.layers("num_layers"),
        hidden=hidden,
        feed_forward=config.size("inner_hidden_size"),
        heads=heads,
        kv_heads=heads,
        head_width=head_width,
        vocab=config.size("vocab_size"),
        context_length=config.integer("max_sequence_length"),
        norm_epsilon=config.number("layernorm_epsilon"),
        rope=plain_rope(config, _THETA, head_width // 2),
        tied_head=config.flag("tie_word_embeddings"),
        prompt_end=(config.integer("gmask_token_id"), config.integer("bos_token_id")),
    )


def _build(decoder: Decoder, layer_done: Callable[[], None]) -> str:
    graph, spec = decoder.graph, decoder.spec
    alpha = graph.constant("/model/alpha", np.array(math.sqrt(2 * spec.layers), np.float32))
    positions = [graph.reshape(f"/model/positions.{i}", row, (-1, 1)) for i, row in enumerate(_position_rows(decoder))]
    x = decoder.embed("transformer.word_embeddings")

    def add(path: str, normed: str, output: str) -> str:
        return graph.node("Add", [graph.node("Mul", [normed, alpha], f"{path}/Mul"), output], f"{path}/Sum")

    for layer in range(spec.layers):
        path, name = f"/model/layers.{layer}", f"transformer.layers.{layer}"
        normed = decoder.layer_norm(f"{path}/attn_norm", x, f"{name}.input_layernorm")
        context = _attend(decoder, f"{path}/attn", f"{name}.attention", normed, layer, positions)
        if layer == spec.layers - 1:
            context = decoder.logit_rows(f"{path}/attn", context)
            normed = decoder.logit_rows(f"{path}/norm", normed)
        output = decoder.linear(
            f"{path}/attn/o", context, [f"{name}.attention.dense"], [spec.hidden], spec.hidden, bias=True
        )
        x = add(f"{path}/attn", normed, output)
        normed = decoder.layer_norm(f"{path}/mlp_norm", x, f"{name}.post_attention_layernorm")
        output = decoder.gelu(f"{path}/mlp", normed, f"{name}.mlp.dense_h_to_4h", f"{name}.mlp.dense_4h_to_h")
        x = add(f"{path}/mlp", normed, output)
        layer_done()
    normed = decoder.layer_norm("/model/norm", x, "transformer.final_layernorm")
    return decoder.head(normed, "transformer.word_embeddings", "lm_head")


def _position_rows(decoder: Decoder) -> list[str]:
    sizes = decoder.graph.constant("/model/positions/sizes", np.array([1, 1], np.int64))
    rows = ["/model/positions/in_prompt", "/model/positions/in_answer"]
    decoder.graph.node("Split", ["position_ids", sizes], "/model/positions/Split", outputs=rows, axis=0)
    return rows


def _attend(decoder: Decoder, path: str, name: str, x: str, layer: int, positions: list[str]) -> str:
    """Rotates the halves of queries and keys here, because PagedAttention has one position per token."""
    graph, spec = decoder.graph, decoder.spec
    heads, width = spec.heads, spec.head_width
    names, widths = [f"{name}.query_key_value"], [3 * spec.hidden]
    order = _halves_of_all_heads(heads, width)
    weight = decoder.checkpoint.take(f"{names[0]}.weight", *widths, spec.hidden).select_rows(order)
    bias = decoder.checkpoint.take(f"{names[0]}.bias", *widths).values()[order]
    qkv = decoder.matrices.linear(f"{path}/qkv", x, [weight])
    qkv = graph.node("Add", [qkv, graph.weight(f"{path}/qkv/bias", bias)], f"{path}/qkv/Add")
    *halves, value = graph.split(f"{path}/qkv/Split", qkv, [spec.hidden] * 3)
    rotated = []
    for index, (half, position) in enumerate(zip(halves, positions, strict=True)):
        rows = graph.reshape(f"{path}/rope.{index}/in", half, (0, 1, spec.hidden))  # [batch, sequence, width]
        rows = graph.node(
            "RotaryEmbedding", [rows, position, "cos_cache", "sin_cache"], f"{path}/rope.{index}/RotaryEmbedding",
            domain=MICROSOFT, num_heads=2 * heads, rotary_embedding_dim=0, interleaved=0,
        )  # fmt: skip
        rotated.append(graph.reshape(f"{path}/rope.{index}/out", rows, (-1, 2 * heads, width // 2)))
    by_head = graph.node("Concat", rotated, f"{path}/rope/Concat", axis=2)
    query_key = graph.reshape(f"{path}/rope", by_head, (0, 2 * spec.hidden))
    packed = graph.node("Concat", [query_key, value], f"{path}/qkv/Concat", axis=1)
    return decoder.prefix_attention(path, packed, layer)


def _halves_of_all_heads(heads: int, width: int) -> npt.NDArray[np.int64]:
    """Order of the fused rows, stored head by head as [q | k | v], that groups what is rotated together:

    [first half of every q, of every k | second half of every q, of every k | every v]
    """
    rows = np.arange(heads * 3 * width, dtype=np.int64).reshape(heads, 3, 2, width // 2)
    halves = [rows[:, part, half].reshape(-1) for half in (0, 1) for part in (0, 1)]
    return np.concatenate([*halves, rows[:, 2].reshape(-1)])


CHATGLM_FIRST = Family("chatglm-6b", "ChatGLM-6B, the first generation", (), _read_spec, _build, chat_template=_TEMPLATE)
