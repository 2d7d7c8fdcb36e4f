"""ONNX Runtime: one session, one paged cache, one ragged call per step. The only module that imports onnxruntime.

The caches are numpy arrays of this process bound once as graph inputs; the attention operator writes into them in place.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable
from collections.abc import Sequence as Seq
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from youtu_edge.engine.mapped_weights import MappedWeights
from youtu_edge.engine.page_memory import PageMemory
from youtu_edge.errors import PackageError
from youtu_edge.ops import library_path
from youtu_edge.package import MODEL, Package, Rope

_TABLE_READS = 8
"""Ids looked up before the pages of the token table are given back."""

Array = npt.NDArray[Any]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


def rope_tables(rope: Rope, positions: int) -> tuple[Array, Array]:
    """cos and sin of position * inverse_frequency, float32 [positions, rope_dim/2] (Su et al. 2021, eq. 34)."""
    frequencies = np.asarray(rope.inverse_frequencies, dtype=np.float32)
    angles = np.arange(positions, dtype=np.float32)[:, None] * frequencies[None, :]
    return (np.cos(angles) * np.float32(rope.scale), np.sin(angles) * np.float32(rope.scale))


def _prefix_positions(lengths: Seq[int], past: Seq[int], prefixes: Seq[int]) -> Int64:
    """Positions in the prompt and in the answer, int64 [2, T]: 0 … n-1, n-1, n-1 … and 0 … 0, 1, 2 … (Du et al. 2022)."""
    pieces = []
    for length, first, prefix in zip(lengths, past, prefixes, strict=True):
        positions = np.arange(first, first + length, dtype=np.int64)
        pieces.append(np.stack([np.minimum(positions, prefix - 1), np.maximum(positions - (prefix - 1), 0)]))
    return np.concatenate(pieces, axis=1)


def runtime_version() -> str:
    """Version of ONNX Runtime; packed weights belong to one."""
    return str(onnxruntime.__version__)


def _options(threads: int, spin_us: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # every step has other shapes
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin_us else "0")
    if spin_us:
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin_us))
    options.register_custom_ops_library(str(library_path()))
    return options


def build_session(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """Load a graph with its weights mapped from disk. Raises PackageError when ONNX Runtime refuses it."""
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library raises many kinds
        raise PackageError(f"{path}: ONNX Runtime cannot load it: {error}") from error


def pack_weights(package: Package, graph: Path, weights_name: str) -> None:
    """Write the optimised graph to `graph` and its weights, those packed for this CPU included, beside it."""
    options = _options(1, 0)
    options.optimized_model_filepath = str(graph)
    options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", weights_name)
    # Shapes and widths are a few bytes, and shape inference wants them inside the graph.
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "512")
    build_session(package.path(MODEL), options)


class StepMemoryError(Exception):
    """A step found no memory for its activations. Nothing was computed; the session can be used again."""


class Runner:
    """The model with its cache pool.

    Memory of the pool is taken when a page is first written. `graph` is the package's own or one with packed weights.
    """

    def __init__(
        self,
        package: Package,
        *,
        page_tokens: int,
        threads: int,
        spin_us: int,
        context_length: int,
        graph: Path | None = None,
    ) -> None:
        self.manifest = package.manifest
        self.page_tokens = page_tokens
        self.run_seconds = 0.0
        self._session = build_session(graph or package.path(MODEL), _options(threads, spin_us))
        self._binding = self._session.io_binding()
        self._values: dict[str, Any] = {}
        self.set_rope(self.manifest.rope, context_length)
        self._pages: PageMemory | None = None
        self._run_options = onnxruntime.RunOptions()
        self.mapped_weights: MappedWeights | None = None
        """Set by who wants rows of the token table given back."""
        self._table_reads = 0

    def set_rope(self, rope: Rope, context_length: int) -> None:
        """Rotate by these frequencies, for sequences of up to `context_length` tokens; cached rows are not turned."""
        self.context_length = context_length
        cos, sin = rope_tables(rope, context_length)
        self._bind("cos_cache", cos)
        self._bind("sin_cache", sin)

    def allocate_cache(self, num_pages: int) -> None:
        """Reserve the pool, each cache [num_pages, page_tokens, kv_heads, width]; a former pool is dropped."""
        self._pages = PageMemory(self.manifest.cache, num_pages, self.page_tokens)
        for name, cache in zip(self.manifest.cache.input_names, self._pages.arrays, strict=True):
            self._bind(name, cache)

    def trim_rope(self) -> int:
        """Keep rotary rows only for the positions that the allocated cache can hold; returns the bytes of the others.

        A model trained for 131,072 tokens comes with 32 MB of them, a cache on a small device holds a few thousand tokens.
        """
        assert self._pages, "no cache is allocated"
        positions, freed = len(self._pages.arrays[0]) * self.page_tokens, 0
        for name in ("cos_cache", "sin_cache"):
            table = self._values[name][0]
            if unused := table[positions:].nbytes:
                self._bind(name, table[:positions].copy())
                freed += unused
        return freed

    @property
    def caches(self) -> list[Array]:
        """The pool, in the order of the manifest's cache inputs."""
        return self._pages.arrays if self._pages else []

    def give_back(self, free_pages: Iterable[int], scratch_page: int | None) -> None:
        """Return memory to the system: that of cache pages, rows of the token table, and the activations of former steps.

        scratch_page: a page whose rows may be lost, for the one token that ONNX Runtime wants to compute before it
        returns anything; without one the activations stay.
        """
        if scratch_page is not None:
            self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
            with contextlib.suppress(StepMemoryError):  # with so little left there is nothing to return either
                self.run([0], [1], [0], [[scratch_page]], [0])
            self._run_options = onnxruntime.RunOptions()
        if self._pages:
            self._pages.give_back(free_pages)
        if self.mapped_weights:
            self.mapped_weights.give_back_table()

    def copy_rows(self, source: int, target: int, rows: int) -> None:
        """Copy the first `rows` rows of one page to another, in every cache."""
        for cache in self.caches:
            cache[target, :rows] = cache[source, :rows]

    def run(
        self,
        token_ids: Seq[int],
        lengths: Seq[int],
        past: Seq[int],
        pages: Seq[Seq[int]],
        logit_rows: Seq[int],
        prefixes: Seq[int] = (),
    ) -> npt.NDArray[np.float32]:
        """Compute `lengths[i]` new tokens of sequence i after `past[i]` cached ones.

        token_ids: all new tokens, packed. pages[i]: page of each absolute page index, long enough for the new tokens.
        logit_rows: which of the packed tokens need logits. Returns float32 [len(logit_rows), vocab].
        prefixes[i]: bidirectional tokens at the start of sequence i, for models that have them; by default all of it.
        Raises StepMemoryError when the activations find no memory.
        """
        size = self.page_tokens
        table = np.full((len(pages), max(len(row) for row in pages)), -1, dtype=np.int32)
        slots = np.empty(len(token_ids), dtype=np.int32)
        begin = 0
        for index, row in enumerate(pages):
            table[index, : len(row)] = row
            first, count = past[index], lengths[index]
            if count == 1:
                slots[begin] = row[first // size] * size + first % size
            else:
                positions = np.arange(first, first + count, dtype=np.int32)
                slots[begin : begin + count] = table[index, positions // size] * size + positions % size
            begin += count
        totals = [a + b for a, b in zip(past, lengths, strict=True)]
        self._bind("token_ids", np.array(token_ids, dtype=np.int64))
        self._bind("cumulative_sequence_length", np.cumsum([0, *lengths], dtype=np.int32))
        self._bind("past_seqlens", np.array(past, dtype=np.int32))
        self._bind("block_table", table)
        self._bind("slot_mapping", slots)
        self._bind("attention_metadata", np.array([max(lengths), max(totals), min(totals)], dtype=np.int32))
        self._bind("logit_rows", np.array(logit_rows, dtype=np.int64))
        if self.manifest.prompt_end:
            self._bind("position_ids", _prefix_positions(lengths, past, prefixes or [self.context_length] * len(lengths)))
        self._binding.bind_output("logits", "cpu")
        self._table_reads += len(token_ids)
        if self._table_reads > _TABLE_READS and self.mapped_weights:
            self.mapped_weights.give_back_table()
            self._table_reads = 0
        begun = time.perf_counter()
        try:
            self._session.run_with_iobinding(self._binding, self._run_options)
        except (RuntimeError, MemoryError) as error:
            # ONNX Runtime has no kind of its own for this; "bad allocation" is std::bad_alloc from a kernel's scratch.
            if isinstance(error, MemoryError) or re.search("allocate memory|bad_?alloc", str(error)):
                raise StepMemoryError(str(error)) from error
            raise
        self.run_seconds += time.perf_counter() - begun
        logits: npt.NDArray[np.float32] = self._binding.get_outputs()[0].numpy()
        return logits

    def _bind(self, name: str, array: Array) -> None:
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        self._values[name] = (array, value)  # the binding does not keep the memory alive
        self._binding.bind_ortvalue_input(name, value)
