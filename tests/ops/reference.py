"""The operators of `youtu_edge` in plain numpy: this file defines what they mean.

Loops over tokens, heads and keys, in float64 except where an operator stores float16. Speed is no concern here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Attention:
    """The attributes of PagedAttention; defaults are the operator's."""

    num_heads: int
    kv_num_heads: int
    scale: float = 0.0  # 0 = 1 / sqrt(width)
    kv_cache_layout: str = "SEPARATE"
    v_head_size: int = 0  # 0 = the width of a key
    rotary_offset: int = 0
    do_rotary: int = 0
    rotary_interleaved: int = 0
    local_window_size: int = -1
    is_causal: int = 1
    bidirectional_prefix: int = 0
    softcap: float = 0.0


def rotate(row: Array, cos: Array, sin: Array, offset: int, interleaved: bool) -> Array:
    """Rotate channels [offset, offset + 2 * len(cos)) of one head: pairs of halves, or of neighbours."""
    out = row.copy()
    half = len(cos)
    for i in range(half):
        first = offset + (2 * i if interleaved else i)
        second = offset + (2 * i + 1 if interleaved else i + half)
        out[first] = row[first] * cos[i] - row[second] * sin[i]
        out[second] = row[second] * cos[i] + row[first] * sin[i]
    return out


def paged_attention(
    attention: Attention,
    query: Array,  # [tokens, heads * width], or packed [tokens, (heads + 2 * kv_heads) * width]
    key: Array | None,  # [tokens, kv_heads * width]
    value: Array | None,
    key_cache: NDArray[np.floating],  # [pages, page_tokens, kv_heads, width]: updated in place
    value_cache: NDArray[np.floating] | None,
    cumulative: NDArray[np.int32],
    past: NDArray[np.int32],
    block_table: NDArray[np.int32],
    cos_cache: Array | None,
    sin_cache: Array | None,
    slot_mapping: NDArray[np.int32] | None,
) -> Array:
    """Write the new keys and values to their slots, then let every query look at the cache through its block table.

    A key at position p of the same sequence is visible to the query at position q when its page is not dropped and

        causal          p <= q                      not causal      p < past + new tokens of the sequence
        bidirectional_prefix: a sequence without past is not causal, whatever is_causal says
        window w        p > q - w

    Keys are read from the cache only: a token whose slot is -1 is seen as whatever the cache holds at its position.
    A query that sees nothing yields zeros.
    """
    heads, kv_heads = attention.num_heads, attention.kv_num_heads
    latent = attention.kv_cache_layout == "LATENT"
    _, page_tokens, _, width = key_cache.shape
    value_width = attention.v_head_size or width
    tokens = len(query)
    if key is None:
        query, key, value = np.split(query, [heads * width, (heads + kv_heads) * width], axis=1)
    queries = query.reshape(tokens, heads, width).astype(np.float64)
    keys = key.reshape(tokens, kv_heads, width).astype(np.float64)
    values = None if latent else value.reshape(tokens, kv_heads, width)
    values_of = key_cache if latent else value_cache

    sequences = [(b, int(t - cumulative[b]) + int(past[b]), int(t))
                 for b in range(len(past)) for t in range(cumulative[b], cumulative[b + 1])]  # fmt: skip
    for b, position, t in sequences:
        if attention.do_rotary:
            angles = (cos_cache[position], sin_cache[position])
            form = (attention.rotary_offset, bool(attention.rotary_interleaved))
            for h in range(heads):
                queries[t, h] = rotate(queries[t, h], *angles, *form)
            for g in range(kv_heads):
                keys[t, g] = rotate(keys[t, g], *angles, *form)
        page, offset = divmod(position, page_tokens)
        if slot_mapping is not None:
            slot = int(slot_mapping[t])
        else:
            slot = -1 if block_table[b, page] < 0 else int(block_table[b, page]) * page_tokens + offset
        if slot >= 0:
            key_cache[slot // page_tokens, slot % page_tokens] = keys[t]
            if not latent:
                value_cache[slot // page_tokens, slot % page_tokens] = values[t]

    scale = attention.scale or width**-0.5
    output = np.zeros((tokens, heads, value_width))
    for b, position, t in sequences:
        causal = attention.is_causal and not (attention.bidirectional_prefix and past[b] == 0)
        last = position if causal else int(past[b]) + int(cumulative[b + 1] - cumulative[b]) - 1
        first = max(0, position - attention.local_window_size + 1) if attention.local_window_size > 0 else 0
        rows = [(int(block_table[b, p // page_tokens]), p % page_tokens) for p in range(first, last + 1)]
        rows = [row for row in rows if row[0] >= 0]
        if not rows:
            continue
        pages, offsets = np.array(rows).T
        for h in range(heads):
            g = h // (heads // kv_heads)
            scores = key_cache[pages, offsets, g].astype(np.float64) @ queries[t, h] * scale
            if attention.softcap:
                scores = attention.softcap * np.tanh(scores / attention.softcap)
            weights = np.exp(scores - scores.max())
            output[t, h] = weights / weights.sum() @ values_of[pages, offsets, g, :value_width].astype(np.float64)
    return output.reshape(tokens, heads * value_width).astype(np.float32)


def block_min_add(x: Array, y: Array, mins: NDArray[np.float16], block_size: int) -> Array:
    """y + (sum of each block of x) @ mins: the part `m` of weights w = d * q + m."""
    sums = x.astype(np.float64).reshape(len(x), len(mins), block_size).sum(axis=2)
    return (y + sums @ mins.astype(np.float64)).astype(np.float32)


def swiglu(gate_up: Array) -> Array:
    """silu(gate) * up of [gate | up]."""
    gate, up = np.split(gate_up.astype(np.float64), 2, axis=1)
    return (gate / (1.0 + np.exp(-gate)) * up).astype(np.float32)


def headwise_matmul(x: Array, weight: NDArray[np.int8], scales: Array) -> Array:
    """y_h = x_h @ W_h^T per head; weight [heads, n, k], scales [heads, n] or [heads, n, k / block]."""
    heads, n, k = weight.shape
    per_block = scales.reshape(heads, n, scales.shape[2] if scales.ndim == 3 else 1).astype(np.float64)
    dense = weight * np.repeat(per_block, k // per_block.shape[2], axis=2)
    y = np.einsum("thk,hnk->thn", x.astype(np.float64).reshape(len(x), heads, k), dense)
    return y.reshape(len(x), heads * n).astype(np.float32)
