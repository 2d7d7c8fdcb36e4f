"""PagedAttention in plain numpy: the operator's definition. Loops in float64, which the operator approximates."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

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


class Token(NamedTuple):
    """One row of the queries, keys and values of a call."""

    row: int
    sequence: int
    position: int  # in its sequence


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
    if key is None:
        query, key, value = np.split(query, [heads * width, (heads + kv_heads) * width], axis=1)
    queries = query.reshape(-1, heads, width).astype(np.float64)
    keys = key.reshape(-1, kv_heads, width).astype(np.float64)
    tokens = [
        Token(row, sequence, row - int(begin) + int(past[sequence]))
        for sequence, (begin, end) in enumerate(pairwise(cumulative))
        for row in range(begin, end)
    ]
    if attention.do_rotary:
        _rotate_heads(attention, tokens, queries, cos_cache, sin_cache)
        _rotate_heads(attention, tokens, keys, cos_cache, sin_cache)
    for token in tokens:
        slot = _slot(token, page_tokens, block_table, slot_mapping)
        if slot is not None:
            key_cache[slot] = keys[token.row]
            if not latent:
                value_cache[slot] = value[token.row].reshape(kv_heads, width)

    value_width = attention.v_head_size or width
    values = (key_cache if latent else value_cache)[..., :value_width]
    output = np.zeros((len(queries), heads, value_width))
    for token in tokens:
        seen = _visible(attention, token, page_tokens, cumulative, past, block_table)
        if seen:
            output[token.row] = _attend(attention, queries[token.row], key_cache, values, *np.array(seen).T)
    return output.reshape(-1, heads * value_width).astype(np.float32)


def _rotate_heads(attention: Attention, tokens: list[Token], rows: NDArray[np.float64], cos: Array, sin: Array) -> None:
    """Rotate all heads of rows [tokens, heads, width] in place, each token by the angles of its position."""
    form = (attention.rotary_offset, bool(attention.rotary_interleaved))
    for token in tokens:
        for head in rows[token.row]:
            head[:] = rotate(head, cos[token.position], sin[token.position], *form)


def _slot(
    token: Token, page_tokens: int, block_table: NDArray[np.int32], slot_mapping: NDArray[np.int32] | None
) -> tuple[int, int] | None:
    """The page and the place in it that the token is written to; None: it is not."""
    if slot_mapping is not None:
        slot = int(slot_mapping[token.row])
        return None if slot < 0 else divmod(slot, page_tokens)
    index, offset = divmod(token.position, page_tokens)
    page = int(block_table[token.sequence, index])
    return None if page < 0 else (page, offset)


def _visible(
    attention: Attention,
    token: Token,
    page_tokens: int,
    cumulative: NDArray[np.int32],
    past: NDArray[np.int32],
    block_table: NDArray[np.int32],
) -> list[tuple[int, int]]:
    """Pages and the places in them of all keys that the token's query sees."""
    before = int(past[token.sequence])
    causal = attention.is_causal and not (attention.bidirectional_prefix and before == 0)
    new = int(cumulative[token.sequence + 1] - cumulative[token.sequence])
    last = token.position if causal else before + new - 1
    first = max(0, token.position - attention.local_window_size + 1) if attention.local_window_size > 0 else 0
    places = [divmod(position, page_tokens) for position in range(first, last + 1)]
    pages = block_table[token.sequence]
    return [(int(pages[index]), offset) for index, offset in places if pages[index] >= 0]


def _attend(
    attention: Attention,
    queries: NDArray[np.float64],  # [heads, width]
    keys: NDArray[np.floating],  # the cache, as the values, whose last axis is as wide as the output
    values: NDArray[np.floating],
    pages: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The heads' softmax(scores) @ values over these keys: [heads, value width]."""
    scale = attention.scale or queries.shape[1] ** -0.5
    output = np.empty((len(queries), values.shape[-1]))
    for head, query in enumerate(queries):
        group = head // (attention.num_heads // attention.kv_num_heads)
        scores = keys[pages, offsets, group].astype(np.float64) @ query * scale
        if attention.softcap:
            scores = attention.softcap * np.tanh(scores / attention.softcap)
        weights = np.exp(scores - scores.max())
        output[head] = weights / weights.sum() @ values[pages, offsets, group].astype(np.float64)
    return output
