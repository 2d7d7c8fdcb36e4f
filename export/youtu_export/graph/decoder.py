"""Building blocks of decoder graphs that model families share: inputs, norms, attention, feed-forward.

A graph runs on T packed tokens of all sequences; see docs/package-format.md for the inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from youtu_edge.cache_geometry import CacheGeometry
from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.graph.graph import YOUTU_EDGE, Graph
from youtu_export.graph.matrix_nodes import MatrixNodes, StoredMatrix
from youtu_export.graph.model_spec import LatentAttention, ModelSpec
from youtu_export.quantise.recipes import Recipe

_ROTARY, _LOCAL_ROTARY = ("cos_cache", "sin_cache"), ("local_cos_cache", "local_sin_cache")
"""Tables of `rope` and of `local_rope`."""


class Decoder:
    """Emits the parts of one model into one graph."""

    def __init__(self, graph: Graph, checkpoint: Checkpoint, spec: ModelSpec, recipe: Recipe) -> None:
        self.graph = graph
        self.checkpoint = checkpoint
        self.spec = spec
        self.matrices = MatrixNodes(graph, recipe)
        self._recipe = recipe
        self._table: StoredMatrix | None = None

    def inputs(self, cache: CacheGeometry) -> None:
        """Declare the inputs of every package, in the order of the package format."""
        rotated = len(self.spec.rope.inverse_frequencies)
        inputs: tuple[tuple[str, str, list[int | str]], ...] = (
            ("token_ids", "int64", ["T"]),
            ("cumulative_sequence_length", "int32", ["B1"]),
            ("past_seqlens", "int32", ["B"]),
            ("block_table", "int32", ["B", "P"]),
            ("slot_mapping", "int32", ["T"]),
            ("attention_metadata", "int32", [3]),
            ("logit_rows", "int64", ["R"]),
        )
        for name, dtype, shape in inputs:
            self.graph.input(name, dtype, shape)
        for name in (*_ROTARY, *_LOCAL_ROTARY) if self.spec.local_rope else _ROTARY:
            self.graph.input(name, "float32", ["positions", rotated])
        if self.spec.prompt_end:
            self.graph.input("position_ids", "int64", [2, "T"])
        for name in cache.input_names:
            self.graph.input(name, cache.dtype, ["pages", "page_tokens", cache.kv_heads, cache.width])

    def embed(self, name: str) -> str:
        """Rows of the token table: [T, hidden]."""
        tensor = self.checkpoint.take(f"{name}.weight", self.spec.vocab, self.spec.hidden)
        output, self._table = self.matrices.table("/model/embed_tokens", "token_ids", tensor)
        return output

    def rms_norm(self, path: str, x: str, name: str, width: int | None = None, epsilon: float | None = None) -> str:
        """RMS norm of x [T, width], by default the hidden size and the model's epsilon."""
        gain = self._vector(path, f"{name}.weight", width or self.spec.hidden)
        return self.graph.node(
            "RmsNorm", [x, gain], f"{path}/RmsNorm", domain=YOUTU_EDGE, epsilon=epsilon or self.spec.norm_epsilon
        )

    def head_rms_norm(self, path: str, x: str, name: str, heads: int) -> str:
        """RMS norm of each head of x [T, heads * width], with one gain for all of them."""
        width = self.spec.head_width
        rows = self.graph.reshape(f"{path}/by_head", x, (-1, width))
        return self.graph.reshape(f"{path}/joined", self.rms_norm(path, rows, name, width), (-1, heads * width))

    def add_rms_norm(self, path: str, x: str, residual: str, name: str) -> tuple[str, str]:
        """RMS norm of x + residual, and the sum itself, both [T, hidden]."""
        outputs = (f"{path}/AddRmsNorm", f"{path}/Sum")
        gain = self._vector(path, f"{name}.weight", self.spec.hidden)
        self.graph.node(
            "AddRmsNorm", [x, residual, gain], outputs[0], domain=YOUTU_EDGE,
            outputs=outputs, epsilon=self.spec.norm_epsilon,
        )  # fmt: skip
        return outputs

    def layer_norm(self, path: str, x: str, name: str) -> str:
        """Layer norm with bias of x [T, hidden]."""
        weights = [self._vector(path, f"{name}.{part}", self.spec.hidden) for part in ("weight", "bias")]
        return self.graph.node(
            "LayerNormalization", [x, *weights], f"{path}/LayerNorm", axis=-1, epsilon=self.spec.norm_epsilon
        )

    def linear(
        self, path: str, x: str, names: Sequence[str], widths: Sequence[int], columns: int, bias: bool | None = None
    ) -> str:
        """x [T, columns] times the named projections, side by side.

        bias: whether they have biases; None adds those that the checkpoint has.
        """
        tensors = [
            self.checkpoint.take(f"{name}.weight", width, columns) for name, width in zip(names, widths, strict=True)
        ]
        y = self.matrices.linear(path, x, tensors)
        return y if bias is False else self.add_bias(path, y, names, widths, required=bias is True)

    def add_bias(self, path: str, y: str, names: Sequence[str], widths: Sequence[int], *, required: bool = False) -> str:
        """Add the biases of the named projections to y [T, sum(widths)], zero for those without unless `required`."""
        if not required and not any(self.checkpoint.has(f"{name}.bias") for name in names):
            return y
        parts = [
            self.checkpoint.take(f"{name}.bias", width).values()
            if required or self.checkpoint.has(f"{name}.bias")
            else np.zeros(width, np.float32)
            for name, width in zip(names, widths, strict=True)
        ]
        return self.graph.node("Add", [y, self.graph.weight(f"{path}/bias", np.concatenate(parts))], f"{path}/Add")

    def attention(self, path: str, qkv: str | Sequence[str], layer: int, *, interleaved: bool = False) -> str:
        """Rotary embedding, cache write and attention of qkv: [T, heads * width].

        qkv: one value [T, (heads + 2 kv_heads) * width], or its three parts.
        """
        query, key, value = (qkv, "", "") if isinstance(qkv, str) else qkv
        return self._paged_attention(
            path, (query, key, value, f"k.{layer}", f"v.{layer}"),
            kv_num_heads=self.spec.kv_heads, scale=self.spec.attention_scale or float(self.spec.head_width**-0.5),
            kv_cache_layout="SEPARATE", rotary_interleaved=int(interleaved),
            tables=self._tables(layer), local_window_size=self.spec.window(layer) or -1,
        )  # fmt: skip

    def prefix_attention(self, path: str, qkv: str, layer: int) -> str:
        """`attention` for queries and keys that are already rotated, in models with a bidirectional prompt."""
        return self._paged_attention(
            path, (qkv, "", "", f"k.{layer}", f"v.{layer}"), tables=None,
            kv_num_heads=self.spec.kv_heads, scale=float(self.spec.head_width**-0.5),
            kv_cache_layout="SEPARATE", local_window_size=-1, bidirectional_prefix=1,
        )  # fmt: skip

    def latent_attention(self, path: str, query: str, key: str, layer: int, latent: LatentAttention) -> str:
        """Attention of query [T, heads * (latent | rope)] to the shared row key [T, latent | rope]: [T, heads * latent]."""
        return self._paged_attention(
            path, (query, key, "", f"kv.{layer}", ""),
            kv_num_heads=1, scale=latent.score_scale, kv_cache_layout="LATENT", local_window_size=-1,
            v_head_size=latent.kv_lora_rank, rotary_offset=latent.kv_lora_rank, rotary_interleaved=int(latent.interleaved),
        )  # fmt: skip

    def swiglu(self, path: str, x: str, gate_up: Sequence[str], down: str, bias: bool | None = None) -> str:
        """down(silu(gate x) * up x), [T, hidden]. gate_up: both matrices, or one that holds gate above up."""
        return self._gated("SwiGLU", path, x, gate_up, down, bias)

    def geglu(self, path: str, x: str, gate_up: Sequence[str], down: str, bias: bool | None = None) -> str:
        """`swiglu` with the tanh approximation of GELU in place of silu."""
        return self._gated("GeGLU", path, x, gate_up, down, bias)

    def _gated(self, op: str, path: str, x: str, gate_up: Sequence[str], down: str, bias: bool | None) -> str:
        width, hidden = self.spec.feed_forward, self.spec.hidden
        both = self.linear(f"{path}/gate_up", x, gate_up, [2 * width // len(gate_up)] * len(gate_up), hidden, bias)
        inner = self.graph.node(op, [both], f"{path}/{op}", domain=YOUTU_EDGE)
        return self.linear(f"{path}/down", inner, (down,), (hidden,), width, bias)

    def gelu(self, path: str, x: str, up: str, down: str) -> str:
        """down(gelu(up x)) with biases and the tanh approximation (`gelu_new`), [T, hidden]."""
        width, hidden = self.spec.feed_forward, self.spec.hidden
        wide = self.linear(f"{path}/up", x, (up,), (width,), hidden, bias=True)
        inner = self.graph.node("Gelu", [wide], f"{path}/Gelu", approximate="tanh")
        return self.linear(f"{path}/down", inner, (down,), (hidden,), width, bias=True)

    def scale(self, path: str, x: str, factor: float) -> str:
        """factor * x; x itself for a factor of 1."""
        if factor == 1:
            return x
        return self.graph.node(
            "Mul", [x, self.graph.constant(f"{path}/factor", np.array(factor, np.float32))], f"{path}/Mul"
        )

    def logit_rows(self, path: str, x: str) -> str:
        """The rows of x [T, hidden] that need logits: [R, hidden]. Everything after it is computed for these rows only."""
        return self.graph.node("Gather", [x, "logit_rows"], f"{path}/logit_rows", axis=0)

    def head(self, x: str, table: str, head: str, *, bias: bool = False) -> str:
        """Logits [R, vocab] of x [R, hidden]."""
        if self.spec.tied_head:
            self.checkpoint.ignore(f"{head}.weight")  # some checkpoints store the table twice
        name = table if self.spec.tied_head else head
        if self.spec.tied_head and self._table is not None:
            logits = self.matrices.tied_head("/lm_head", x, self._table)
        else:
            tensor = self.checkpoint.take(f"{name}.weight", self.spec.vocab, self.spec.hidden)
            logits = self.matrices.linear("/lm_head", x, [tensor], self._recipe.table_bits)
        return self.add_bias("/lm_head", logits, [head], [self.spec.vocab], required=True) if bias else logits

    def _tables(self, layer: int) -> tuple[str, str] | None:
        if layer in self.spec.unrotated:
            return None
        return _LOCAL_ROTARY if self.spec.local_rope and self.spec.window(layer) else _ROTARY

    def _vector(self, path: str, name: str, width: int) -> str:
        return self.graph.weight(f"{path}/{name.rpartition('.')[2]}", self.checkpoint.take(name, width).values())

    def _paged_attention(
        self,
        path: str,
        tensors: tuple[str, str, str, str, str],
        *,
        tables: tuple[str, str] | None = _ROTARY,
        **attributes: Any,
    ) -> str:
        """tensors: query, key, value, cache of keys, cache of values. tables: of the rotation; None: nothing is rotated."""
        absent = [""] * 5  # sink, norms of q and k, scales of a quantised cache
        inputs = [
            *tensors, "cumulative_sequence_length", "past_seqlens", "block_table",
            *(tables or ("", "")), "slot_mapping", *absent, "attention_metadata",
        ]  # fmt: skip
        return self.graph.node(
            "PagedAttention", inputs, f"{path}/PagedAttention", domain=YOUTU_EDGE,
            num_heads=self.spec.heads, do_rotary=int(tables is not None), **attributes,
        )  # fmt: skip
