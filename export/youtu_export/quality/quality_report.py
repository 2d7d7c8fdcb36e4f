"""The cost of quantisation: figures for the manifest, report.md and, where a matrix was rounded, a chart in the package."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from youtu_edge.package import Manifest, Package, open_package
from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.packed_matrix import pack, unpack
from youtu_export.checkpoints.scaled_tensor import ScaledTensor
from youtu_export.checkpoints.stored_tensor import StoredTensor
from youtu_export.export import export
from youtu_export.quality.error_chart import MatrixError, drawing_library, error_chart
from youtu_export.quality.quality import Quality, measure, read_text
from youtu_export.quantise.recipes import RECIPES, Recipe

REPORT = "report.md"
PLOT = "relative_error.png"
LARGEST_REFERENCE = 4 * 10**9
"""Bytes of float weights above which no float reference is exported."""
_TOKENS = 4096


@dataclass(frozen=True)
class Assessment:
    """Measures a package while it is made. `original`: the checkpoint before calibration; `facts` go into the manifest."""

    original: Checkpoint
    exported: Checkpoint
    recipe: Recipe
    texts: Sequence[Path]
    facts: dict[str, Any]

    def __post_init__(self) -> None:
        drawing_library()  # before hours of work

    def __call__(self, directory: Path, manifest: Manifest, matrices: Sequence[str]) -> dict[str, Any]:
        """Write the report into `directory` and return the figures."""
        errors = matrix_errors(self.exported, self.recipe, matrices)
        figures, note = self._figures(directory, manifest)
        if errors:
            title = f"{manifest.name}, recipe {manifest.recipe}: error of rounding"
            (directory / PLOT).write_bytes(error_chart(errors, title))
        (directory / REPORT).write_text(_report(manifest, self.facts, figures, note, errors), encoding="utf-8")
        mean = float(np.mean([error.relative_error for error in errors])) if errors else 0.0
        return {
            **self.facts,
            "mean_relative_error": round(mean, 6),
            **{figure.text: msgspec.to_builtins(figure) for figure in figures},
        }

    def _figures(self, directory: Path, manifest: Manifest) -> tuple[list[Quality], str]:
        size = 4 * manifest.parameters
        if size > LARGEST_REFERENCE:
            note = (
                f"NLL, KL and top-1 were not measured: the float reference would need {size / 1e9:.1f} GB, more than the "
                f"limit of {LARGEST_REFERENCE / 1e9:.0f} GB. Export it with --recipe f32 and run youtu-export compare."
            )
            sys.stderr.write(note + "\n")
            return [], note
        with tempfile.TemporaryDirectory(prefix=".reference.", dir=directory.parent) as temporary:
            reference = Path(temporary) / "f32"
            fresh = dataclasses.replace(self.original, tensors=dict(self.original.tensors), taken=set())
            export(fresh, reference, RECIPES["f32"], name="reference")
            opened = open_package(reference)
            texts = [read_text(path, opened, _TOKENS) for path in self.texts]
            return measure(opened, Package(directory, manifest), texts), ""


def matrix_errors(checkpoint: Checkpoint, recipe: Recipe, names: Sequence[str]) -> list[MatrixError]:
    """Errors of the named matrices that the recipe rounds; matrices whose integer codes are kept have none."""
    tensors = {tensor.name: tensor for tensor in checkpoint.tensors.values()}
    errors = []
    for name in names:
        bits, tensor = recipe.bits_of(name), tensors.get(name)
        if bits is not None and tensor is not None and tensor.kind not in recipe.kept_kinds:
            errors.append(MatrixError(name, bits, _relative_error(tensor, bits, recipe)))
    return errors


def _relative_error(tensor: StoredTensor, bits: int, recipe: Recipe) -> float:
    exact = dataclasses.replace(tensor, shrink=None) if isinstance(tensor, ScaledTensor) else tensor
    values = exact.values()
    values -= unpack(pack(tensor, bits, recipe.block, frozenset()))
    return float(np.linalg.norm(values) / max(float(np.linalg.norm(exact.values())), 1e-30))


def _report(
    manifest: Manifest,
    facts: dict[str, Any],
    figures: Sequence[Quality],
    note: str,
    errors: Sequence[MatrixError],
) -> str:
    size = sum(entry.size for entry in manifest.files.values())
    lines = [f"# {manifest.name}, recipe {manifest.recipe}", ""]
    lines += [f"{manifest.parameters:,} parameters, {size / 1e6:.1f} MB.", ""]
    lines += [f"* source {key}: {value}" for key, value in manifest.source.items()]
    lines += [f"* {key}: {value}" for key, value in facts.items()]
    lines += ["", "## Against the same model in float32", ""]
    if note:
        lines += [note]
    else:
        lines += [
            "| text | tokens | NLL f32 | NLL | increase | perplexity f32 | perplexity | KL | top-1 agreement |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
    lines += [
        f"| {q.text} | {q.tokens} | {q.reference_nll:.4f} | {q.nll:.4f} | {q.nll_increase:+.2%} | "
        f"{q.reference_perplexity:.3f} | {q.perplexity:.3f} | {q.kl_divergence:.5f} | {q.top1_agreement:.2%} |"
        for q in figures
    ]
    lines += ["", "## Relative error of each matrix", ""]
    if not errors:
        return "\n".join([*lines, "No matrix was rounded."]) + "\n"
    lines += [f"![one bar for each matrix, in the order of the table]({PLOT})", ""]
    lines += ["| matrix | bits | relative error |", "|---|---|---|"]
    lines += [f"| {error.name} | {error.bits} | {error.relative_error:.4f} |" for error in errors]
    return "\n".join(lines) + "\n"
