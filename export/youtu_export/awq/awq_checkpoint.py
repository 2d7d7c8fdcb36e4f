"""A checkpoint whose tensors AWQ scaled and clipped: the same model, which loses less by rounding to four bits."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from youtu_export.awq.awq import Activations, search_scales, search_shrink
from youtu_export.awq.awq_pairs import PAIRS, FamilyPairs, Pair
from youtu_export.awq.calibration import Calibration
from youtu_export.awq.calibration_layers import FloatModel
from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.packed_matrix import fitting_block
from youtu_export.checkpoints.scaled_tensor import scaled
from youtu_export.checkpoints.stored_tensor import Float32, StoredTensor, naming
from youtu_export.errors import ExportError
from youtu_export.quantise.recipes import RECIPES, Recipe

Progress = Callable[[int, int], None]
_NO_PAIRS = FamilyPairs("", ())


def calibrate(
    checkpoint: Checkpoint, recipe: Recipe, calibration: Calibration, work: Path, progress: Progress | None = None
) -> Checkpoint:
    """`checkpoint` with scales and clipping for `recipe`. `work` is the directory for the temporary float model.

    Raises ExportError if the checkpoint is already quantised.
    """
    kept = RECIPES["q4"].kept_kinds
    for tensor in checkpoint.tensors.values():
        if tensor.kind in kept:
            raise ExportError(f"{tensor.path}: {tensor.name}: is already quantised ({tensor.kind}); use recipe q4 for it")
    result = dataclasses.replace(checkpoint, tensors=dict(checkpoint.tensors), taken=set())
    with tempfile.TemporaryDirectory(prefix=".calibration.", dir=work) as directory:
        model = FloatModel(checkpoint, Path(directory))
        # The family omits what it does not need: a head that repeats the token table.
        result.tensors = {name: tensor for name, tensor in result.tensors.items() if name in checkpoint.tensors}
        search = _LayerSearch(result, recipe, model)
        for layer, activations in enumerate(model.activations(calibration)):
            search.layer(layer, activations)
            if progress:
                progress(layer + 1, model.spec.layers)
    return result


class _LayerSearch:
    """Writes factors into the tensors of one checkpoint, layer by layer."""

    def __init__(self, checkpoint: Checkpoint, recipe: Recipe, model: FloatModel) -> None:
        self._tensors = checkpoint.tensors
        self._recipe = recipe
        self._model = model
        self._names = {tensor.name: name for name, tensor in checkpoint.tensors.items()}
        self._family = PAIRS.get(model.spec.family, _NO_PAIRS)

    def layer(self, layer: int, activations: dict[str, Activations]) -> None:
        """Scales of all pairs first, because the range of a block depends on them; then clipping."""
        scales: dict[str, Float32] = {}
        for pair in self._family.pairs:
            self._scale(pair, self._family.prefix.format(layer), activations, scales)
        for stored_name, value in self._model.inputs.items():
            if value in activations and self._recipe.bits_of(stored_name) == 4:
                seen = activations[value]
                self._clip(self._names[stored_name], seen.divided(scales[value]) if value in scales else seen)

    def _scale(self, pair: Pair, prefix: str, activations: dict[str, Activations], scales: dict[str, Float32]) -> None:
        names = [f"{prefix}{consumer}.weight" for consumer in pair.consumers]
        consumers = [name for name in names if name in self._tensors]
        producer = f"{prefix}{pair.producer}"
        if not consumers or f"{producer}.weight" not in self._tensors:
            return
        rows = pair.rows(self._model.spec) if pair.rows else None
        if pair.rows and rows is None:
            return
        rounded = [name for name in consumers if self._recipe.bits_of(self._tensors[name].name) == 4]
        value = self._model.inputs[self._tensors[consumers[0]].name]
        matrices = [self._tensors[name].values() for name in rounded]
        if not rounded:
            return
        with naming(self._tensors[rounded[0]]):
            found = search_scales(matrices, [self._block(matrix) for matrix in matrices], activations[value])
        if found is None:
            return
        for name in consumers:
            self._tensors[name] = scaled(self._tensors[name], column_scales=found)
        for part in ("weight", "bias"):
            if f"{producer}.{part}" in self._tensors:
                tensor = self._tensors[f"{producer}.{part}"]
                self._tensors[f"{producer}.{part}"] = scaled(tensor, row_scales=_spread(tensor, rows, found))
        scales[value] = found

    def _clip(self, name: str, activations: Activations) -> None:
        matrix = self._tensors[name].values()
        with naming(self._tensors[name]):
            shrink = search_shrink(matrix, self._block(matrix), activations)
        self._tensors[name] = scaled(self._tensors[name], shrink=shrink)

    def _block(self, matrix: Float32) -> int:
        return fitting_block(matrix.shape[1], self._recipe.block)


def _spread(tensor: StoredTensor, rows: np.ndarray[tuple[int], np.dtype[np.int64]] | None, scales: Float32) -> Float32:
    """`scales` at their rows and 1 elsewhere, [N]."""
    if rows is None:
        return scales
    spread = np.ones(tensor.shape[0], np.float32)
    spread[rows] = scales
    return spread
