"""The loaded model: one session of ONNX Runtime, one paged cache, one ragged call per step.

The caches are bound once as graph inputs, in the memory of the device; the attention operator writes into them in place.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from collections.abc import Sequence as Seq
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from youtu_edge.engine.model.cuda_library import CudaCallError
from youtu_edge.engine.model.device import Device, Pool
from youtu_edge.engine.model.processor import Processor
from youtu_edge.engine.model.session import NO_MEMORY, make_session
from youtu_edge.errors import DeviceFaultError
from youtu_edge.package import Package, Rope
from youtu_edge.rotary import rotary_inputs

_POLL_S = 0.002  # seconds
_FEW_TOKENS = 32  # in a step whose activations are small

Array = npt.NDArray[Any]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


def _prefix_positions(lengths: Seq[int], past: Seq[int], prefixes: Seq[int]) -> Int64:
    """Positions in the prompt and in the answer, int64 [2, T]: 0 … n-1, n-1, n-1 … and 0 … 0, 1, 2 … (Du et al. 2022)."""
    pieces = []
    for length, first, prefix in zip(lengths, past, prefixes, strict=True):
        positions = np.arange(first, first + length, dtype=np.int64)
        pieces.append(np.stack([np.minimum(positions, prefix - 1), np.maximum(positions - (prefix - 1), 0)]))
    return np.concatenate(pieces, axis=1)


class StepMemoryError(Exception):
    """A step found no memory for its activations. Nothing was computed; the session can be used again."""


class Runner:
    """The model with its cache pool.

    Memory of the pool is taken when a page is first written. Sequences have up to `context_length` tokens, rotated by
    `rope`, by default as the model was trained. `device` computes, by default the processor. Raises PackageError when ONNX
    Runtime refuses the graph, DeviceError when that is the device's fault.
    """

    def __init__(
        self,
        package: Package,
        *,
        page_tokens: int,
        threads: int,
        spin_us: int,
        context_length: int,
        rope: Rope | None = None,
        device: Device | None = None,
    ) -> None:
        self.manifest = package.manifest
        self.page_tokens = page_tokens
        self.context_length = context_length
        self.run_seconds = 0.0
        self._rope = rope or self.manifest.rope
        self.device = device or Processor()
        self.device.start(threads, spin_us)
        self._session = make_session(package, self.device, threads, spin_us)
        self._binding = self._session.io_binding()
        self._values: dict[str, Any] = {}
        self.pool: Pool | None = None
        self._run_options = onnxruntime.RunOptions()
        self._large_step = False  # the last one was

    def __del__(self) -> None:
        """Weights are freed with the session."""
        if hasattr(self, "device"):
            self.device.wait()

    @property
    def page_bytes(self) -> int:
        """Memory of one page: its rows in every cache, and the rotary rows of the positions that it makes possible."""
        tables = 0 if self.manifest.window else 4 if self.manifest.local_rope else 2
        rotary_row = tables * 4 * len(self._rope.inverse_frequencies)
        return (self.manifest.cache.bytes_per_token + rotary_row) * self.page_tokens

    def allocate_cache(self, num_pages: int) -> None:
        """Reserve the pool, each cache [num_pages, page_tokens, kv_heads, width]; a former pool is dropped.

        Rotary rows are for the positions that the pool can hold: all of a long context would take tens of megabytes. Only a
        model with a window has them for all of it, because its pages are used again.
        """
        self.device.wait()
        self._binding.clear_binding_inputs()
        self.pool = None  # before the next one: a device may not have room for both
        self.pool = self.device.pool(self.manifest.cache, num_pages, self.page_tokens)
        self.pool.bind(self._binding)
        positions = self.context_length
        if self.manifest.window is None:
            positions = min(positions, num_pages * self.page_tokens)
        for name, table in rotary_inputs(self._rope, self.manifest.local_rope, positions).items():
            self._values[name] = self.device.bind_constant(self._binding, name, table)

    @property
    def caches(self) -> list[Array]:
        """The pool where it is memory of this process, in the order of the manifest's cache inputs."""
        return self.pool.arrays if self.pool else []

    def give_back(self, free_pages: Iterable[int], scratch_page: int | None) -> None:
        """Return memory to the system: that of cache pages, and the activations of former steps.

        scratch_page: a page whose rows may be lost, for the one token that ONNX Runtime wants to compute before it
        returns anything; without one the activations stay.
        """
        if scratch_page is not None:
            self._large_step = True
            with contextlib.suppress(StepMemoryError):  # with so little left there is nothing to return either
                self.run([0], [1], [0], [[scratch_page]], [0])
        if self.pool:
            self.pool.give_back(free_pages)

    def copy_rows(self, source: int, target: int, rows: int) -> None:
        """Copy the first `rows` rows of one page to another, in every cache."""
        assert self.pool is not None
        try:
            self.pool.copy_rows(source, target, rows)
        except CudaCallError as error:
            self._raise_fault(error)
            raise

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
        options = self._run_options
        if self._large_step and len(token_ids) <= _FEW_TOKENS:  # the end of a prompt: its activations are given back
            options = onnxruntime.RunOptions()
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", self.device.arena)
            self.device.free_scratch()
        self._large_step = len(token_ids) > _FEW_TOKENS
        begun = time.perf_counter()
        try:
            logits = self.device.logits(len(logit_rows), self.manifest.vocab_size)
            self._binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
            self._session.run_with_iobinding(self._binding, options)
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, MemoryError) or NO_MEMORY.search(str(error)):
                raise StepMemoryError(str(error)) from error
            self._raise_fault(error)
            raise
        self.run_seconds += time.perf_counter() - begun
        self.device.after_step()
        return logits

    def run_until(self, is_enough: Callable[[], bool], token_ids: Seq[int], pages: Seq[int]) -> None:
        """Begin to compute one new sequence, and stop when `is_enough` says so, which is asked every _POLL_S."""
        options, ended = self._run_options, threading.Event()

        def watch() -> None:
            while not ended.wait(_POLL_S):
                if is_enough():
                    options.terminate = True
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            self.run(token_ids, [len(token_ids)], [0], [pages], [0])
        except RuntimeError:
            if not options.terminate:
                raise
        finally:
            ended.set()
            watcher.join()
            self._run_options = onnxruntime.RunOptions()

    def _raise_fault(self, error: Exception) -> None:
        """Raises DeviceFaultError if `error` comes from a device that nothing heals but another process."""
        if fault := self.device.fault():
            raise DeviceFaultError(
                f"the GPU failed ({fault}); the engine is replaced. If that comes again, see dmesg for Xid and run "
                "scripts/gpu-check"
            ) from error

    def _bind(self, name: str, array: Array) -> None:
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        self._values[name] = (array, value)  # the binding does not keep the memory alive
        self._binding.bind_ortvalue_input(name, value)
