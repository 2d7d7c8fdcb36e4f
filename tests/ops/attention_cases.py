"""Random PagedAttention calls."""

import numpy as np
from hypothesis import strategies as st

from ops.attention_call import Case, build
from ops.attention_reference import Attention

__all__ = ["Case", "build", "cases"]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any combination of layout, widths, heads, lengths, pages, windows and rotary that the operator accepts."""
    latent = draw(st.booleans())
    if latent:
        width, value_width = draw(st.sampled_from([(576, 512), (96, 64), (40, 24), (72, 50)]))
        kv_heads, group = 1, draw(st.sampled_from([1, 3, 16, 64]))
    else:
        width = value_width = draw(st.sampled_from([64, 80, 128, 192, 36]))
        kv_heads, group = draw(st.sampled_from([(1, 1), (3, 3), (2, 8), (1, 64), (32, 1), (8, 4), (64, 1)]))
    rope_half = draw(st.sampled_from([0, width // 2, width // 4, 5]))
    longest = 150 if width * kv_heads * group < 5000 else 40
    lengths = draw(
        st.lists(
            st.tuples(st.integers(0, longest) | st.just(0), st.sampled_from([0, 1, 1, 1, 2, 5, 30])), min_size=1, max_size=3
        )
    )
    attention = Attention(
        num_heads=kv_heads * group,
        kv_num_heads=kv_heads,
        scale=draw(st.sampled_from([0.0, 0.1])) if not latent else 0.1,
        kv_cache_layout="LATENT" if latent else "SEPARATE",
        v_head_size=value_width if latent else 0,
        rotary_offset=draw(st.sampled_from([0, width - 2 * rope_half])),
        rotary_interleaved=draw(st.integers(0, 1)),
        local_window_size=draw(st.sampled_from([-1, -1, 1, 7, 64])),
        is_causal=draw(st.sampled_from([1, 1, 0])),
        bidirectional_prefix=draw(st.sampled_from([0, 0, 1])),
        softcap=draw(st.sampled_from([0.0, 0.0, 2.0])),
    )
    return build(
        attention,
        width,
        lengths,
        page_tokens=draw(st.sampled_from([16, 32, 48, 256])),
        cache_type=draw(st.sampled_from([np.float16, np.float32])),
        rope_half=rope_half,
        packed=not latent and draw(st.booleans()),
        slots=draw(st.sampled_from(["all", "some", "absent"])),
        dropped=draw(st.sampled_from([0.0, 0.0, 0.4])),
        seed=draw(st.integers(0, 1000)),
    )
