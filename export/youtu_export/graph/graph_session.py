"""Runs a package's graph, or a part of it, for one sequence. The only module of the exporter that imports onnxruntime.

The engine runs the same graph for many sequences; here one sequence has the pages 0, 1, … of its own cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from youtu_edge.cache_geometry import CacheGeometry
from youtu_edge.ops import library_path, wait_for_late_workers
from youtu_edge.package import MODEL, Package, Rope
from youtu_edge.rotary import rotary_inputs
from youtu_export.checkpoints.stored_tensor import Float32
from youtu_export.errors import ExportError

Array = npt.NDArray[Any]

_PAGE_TOKENS = 32


class GraphSession:
    """One graph file with its weights beside it; outputs are requested by name."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        try:
            options.register_custom_ops_library(str(library_path()))
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except FileNotFoundError as error:
            raise ExportError(str(error)) from None
        except Exception as error:  # the library's exceptions have no common base class
            raise ExportError(f"{path}: ONNX Runtime cannot load it: {error}") from error
        self._names = {value.name for value in self._session.get_inputs()}

    def __del__(self) -> None:
        """Wait for late workers, because weights are freed with the session."""
        wait_for_late_workers()

    def run(self, outputs: list[str], values: dict[str, Array]) -> list[Array]:
        """The named outputs; values that are not inputs of the graph are ignored."""
        found: list[Array] = self._session.run(outputs, {k: v for k, v in values.items() if k in self._names})
        return found


class PackageScorer:
    """Scores whole texts. Errors name `named`, by default the package's directory."""

    def __init__(self, package: Package, named: Path | None = None) -> None:
        self._named = named or package.root
        self._manifest = package.manifest
        self._session = GraphSession(package.path(MODEL))

    def logits(self, token_ids: list[int]) -> Float32:
        """Logits after every token, float32 [T, vocab]. Raises ExportError for NaN and infinite ones."""
        manifest = self._manifest
        inputs = sequence_inputs(token_ids, manifest.rope, manifest.local_rope)
        inputs |= empty_cache(manifest.cache, len(token_ids))
        logits: Float32 = self._session.run(["logits"], inputs)[0]
        if not np.isfinite(logits).all():
            raise ExportError(
                f"{self._named}: the model computes logits that are NaN or infinite: its weights are damaged, or its "
                f"activations exceed the range of the {self._manifest.cache.dtype} cache or of the recipe"
            )
        return logits


def sequence_inputs(token_ids: list[int], rope: Rope, local_rope: Rope | None) -> dict[str, Array]:
    """All inputs except the caches, for a new sequence that needs the logits of every token."""
    count = len(token_ids)
    inputs: dict[str, Array] = {
        "token_ids": np.array(token_ids, dtype=np.int64),
        "cumulative_sequence_length": np.array([0, count], dtype=np.int32),
        "past_seqlens": np.zeros(1, dtype=np.int32),
        "block_table": np.arange(_pages(count), dtype=np.int32)[None],
        "slot_mapping": np.arange(count, dtype=np.int32),
        "attention_metadata": np.full(3, count, dtype=np.int32),
        "logit_rows": np.arange(count, dtype=np.int64),
    }
    return inputs | rotary_inputs(rope, local_rope, count)


def empty_cache(cache: CacheGeometry, tokens: int) -> dict[str, Array]:
    """Caches of all layers that hold `tokens` tokens, each [pages, page_tokens, kv_heads, width]."""
    shape = (_pages(tokens), _PAGE_TOKENS, cache.kv_heads, cache.width)
    return {name: np.zeros(shape, cache.dtype) for name in cache.input_names}


def _pages(tokens: int) -> int:
    return -(-tokens // _PAGE_TOKENS)
