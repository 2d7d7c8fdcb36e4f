"""From a checkpoint to a package: open, calibrate, export, measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from youtu_edge.package import Manifest
from youtu_export.awq.awq_checkpoint import calibrate
from youtu_export.awq.calibration import SAMPLE, read_calibration
from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.gguf_reader import open_gguf
from youtu_export.checkpoints.hf_reader import open_hf
from youtu_export.errors import ExportError
from youtu_export.export import Assess, export
from youtu_export.findings import Findings
from youtu_export.graph.families import family_of
from youtu_export.package_directory import reject_existing
from youtu_export.quality.golden import PROMPTS, write_golden
from youtu_export.quality.quality_report import Assessment
from youtu_export.quantise.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class PackageRequest:
    """The options of the command line. `format` is gguf or hf; with `report_texts` None nothing is measured."""

    format: str
    source: Path
    out: Path
    recipe: Recipe
    name: str
    origin: Mapping[str, str] = field(default_factory=dict)
    """For a checkpoint from a hub: see Source."""
    force: bool = False
    calibration: Path | None = None
    """None: the text that comes with the exporter, if the recipe uses calibration."""
    report_texts: tuple[Path, ...] | None = None
    release: int = 0
    tool_format: str = ""
    """See Manifest.tool_format."""
    golden_prompts: tuple[str, ...] = PROMPTS
    """Prompts for golden.json; if empty, the device can only test that the model answers."""


def make_package(request: PackageRequest, progress: Callable[[int, int], None] | None = None) -> tuple[Manifest, Findings]:
    """Make the package completely or not at all; returns its manifest and what was decided about the checkpoint.

    Raises ExportError and OSError.
    """
    reject_existing(request.out, force=request.force)
    original: Checkpoint = open_gguf(request.source) if request.format == "gguf" else open_hf(request.source)
    checkpoint, facts = original, dict[str, Any]()
    if request.recipe.calibrated or request.report_texts is not None:
        _reject_prefix_attention(original)
    if request.recipe.calibrated:
        text = read_calibration(request.calibration or SAMPLE, original.assets)
        facts["calibration"] = f"{text.name}, {text.tokens} tokens, sha256 {text.sha256}"
        request.out.parent.mkdir(parents=True, exist_ok=True)
        checkpoint = calibrate(original, request.recipe, text, request.out.parent, progress)
    if request.recipe.int8_matrices:
        facts["int8_matrices"] = ", ".join(request.recipe.int8_matrices)
    assess: Assess = lambda *_: facts  # noqa: E731 - the alternative is an object
    if request.report_texts is not None:
        assess = Assessment(original, checkpoint, request.recipe, request.report_texts, facts)
    manifest = export(
        checkpoint,
        request.out,
        request.recipe,
        name=request.name,
        origin=request.origin,
        force=request.force,
        release=request.release,
        tool_format=request.tool_format,
        progress=progress,
        assess=_with_golden(assess, request.golden_prompts, request.out),
    )
    if manifest.long_rope is not None:
        original.findings.notes.append(
            f"context of {manifest.context_length} tokens; set model.context_length on the device for up to "
            f"{manifest.long_rope.context_length}, with the rope for longer ones"
        )
    return manifest, original.findings


def _with_golden(assess: Assess, prompts: Sequence[str], out: Path) -> Assess:
    """`assess`, and golden.json beside its files; errors name `out`, the package that is being made."""

    def both(directory: Path, manifest: Manifest, matrices: Sequence[str]) -> dict[str, Any]:
        if prompts and not manifest.prompt_end:  # its prompts are more than text; see _reject_prefix_attention
            write_golden(directory, manifest, prompts, out)
        return assess(directory, manifest, matrices)

    return both


def _reject_prefix_attention(checkpoint: Checkpoint) -> None:
    if family_of(checkpoint).read_spec(checkpoint).prompt_end:
        raise ExportError(
            f"{checkpoint.path}: calibration and --report score running text, which a model with a bidirectional prompt "
            "does not predict; export it with --recipe q4 or q8 and without --report"
        )
