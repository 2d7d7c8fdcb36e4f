"""A PagedAttention call: ragged sequences over a shared pool, in any form that the scheduler produces. Needs numpy only."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ops.attention_reference import Attention, paged_attention


@dataclass
class Case:
    attention: Attention
    inputs: dict[str, NDArray[Any] | None]

    def reference(self) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any] | None]:
        """Output and caches as attention_reference.py defines them; the case itself stays as it is."""
        i = self.inputs
        keys = i["key_cache"].copy()
        values = None if i["value_cache"] is None else i["value_cache"].copy()
        output = paged_attention(
            self.attention, i["query"], i["key"], i["value"], keys, values, i["cumulative_sequence_length"],
            i["past_seqlens"], i["block_table"], i["cos_cache"], i["sin_cache"], i["slot_mapping"],
        )  # fmt: skip
        return output, keys, values

    def attributes(self) -> dict[str, Any]:
        given = vars(self.attention).copy()
        if not given["scale"]:
            del given["scale"]
        return given


def build(
    attention: Attention,
    width: int,
    lengths: list[tuple[int, int]],  # (past, new) of each sequence
    page_tokens: int = 16,
    cache_type: Any = np.float16,
    rope_half: int = 0,
    packed: bool = False,
    slots: str = "all",  # all | some (a part of the tokens has -1) | absent
    dropped: float = 0.0,  # part of the pages
    seed: int = 0,
) -> Case:
    """Sequence b owns its own pages of a pool that is full of old keys; pages are handed out in random order."""
    random = np.random.default_rng(seed)
    heads, kv_heads = attention.num_heads, attention.kv_num_heads
    latent = attention.kv_cache_layout == "LATENT"
    tokens = sum(new for _, new in lengths)
    used = [-(-(past + new) // page_tokens) for past, new in lengths]
    pages = sum(used) + 2
    order = random.permutation(pages)
    table = np.full((len(lengths), max([*used, 1]) + 1), -1, np.int32)
    slot_mapping = np.empty(tokens, np.int32)
    cumulative = np.cumsum([0] + [new for _, new in lengths]).astype(np.int32)
    for b, (past, new) in enumerate(lengths):
        table[b, : used[b]], order = order[: used[b]], order[used[b] :]
        positions = np.arange(past, past + new)
        slot_mapping[cumulative[b] : cumulative[b + 1]] = (
            table[b, positions // page_tokens] * page_tokens + positions % page_tokens
        )
        table[b, : used[b]][random.random(used[b]) < dropped] = -1
    if slots == "some":
        slot_mapping[random.random(tokens) < 0.4] = -1

    def floats(*shape: int) -> NDArray[np.float32]:
        return random.standard_normal(shape, dtype=np.float32)

    angles = random.uniform(0, 6.3, (max([past + new for past, new in lengths]), rope_half)).astype(np.float32)
    cache = [floats(pages, page_tokens, kv_heads, width).astype(cache_type) for _ in range(2)]
    q_width, kv_width = heads * width, kv_heads * width
    inputs = {
        "query": floats(tokens, q_width + 2 * kv_width if packed else q_width),
        "key": None if packed else floats(tokens, kv_width),
        "value": None if packed or latent else floats(tokens, kv_width),
        "key_cache": cache[0],
        "value_cache": None if latent else cache[1],
        "cumulative_sequence_length": cumulative,
        "past_seqlens": np.array([past for past, _ in lengths], np.int32),
        "block_table": table,
        "cos_cache": np.cos(angles) if rope_half else None,
        "sin_cache": np.sin(angles) if rope_half else None,
        "slot_mapping": None if slots == "absent" else slot_mapping,
    }
    return Case(replace(attention, do_rotary=int(rope_half > 0)), inputs)
