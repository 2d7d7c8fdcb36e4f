"""youtu-export compare A B: the figures of two packages side by side."""

from __future__ import annotations

from pathlib import Path

from youtu_edge.package import Package, open_package
from youtu_export.quality.quality import Quality, measure, read_text

SAMPLE = Path(__file__).parents[1] / "data" / "evaluation.txt"
"""English, Chinese, code and JSON that is not in the calibration text."""


def compare(first: Path, second: Path, texts: list[Path], max_tokens: int) -> str:
    """A table of B against A, one block per text. Raises ExportError and PackageError."""
    reference, package = open_package(first), open_package(second)
    figures = measure(reference, package, [read_text(path, reference, max_tokens) for path in texts or [SAMPLE]])
    return "\n".join([_sizes(reference, package), *(_block(quality) for quality in figures)])


def package_bytes(package: Package) -> int:
    """Size of all files that the manifest lists."""
    return sum(entry.size for entry in package.manifest.files.values())


def _sizes(reference: Package, package: Package) -> str:
    rows = [("", "A", "B", "B/A - 1")]
    rows.append(("recipe", reference.manifest.recipe, package.manifest.recipe, ""))
    a, b = package_bytes(reference), package_bytes(package)
    rows.append(("size, MB", f"{a / 1e6:.2f}", f"{b / 1e6:.2f}", f"{b / a - 1:+.2%}"))
    return _table(rows)


def _block(quality: Quality) -> str:
    perplexity = quality.perplexity / quality.reference_perplexity - 1
    rows = [
        ("NLL", f"{quality.reference_nll:.4f}", f"{quality.nll:.4f}", f"{quality.nll_increase:+.2%}"),
        ("perplexity", f"{quality.reference_perplexity:.3f}", f"{quality.perplexity:.3f}", f"{perplexity:+.2%}"),
        ("KL(A||B)", "", f"{quality.kl_divergence:.5f}", ""),
        ("top-1 agreement", "", f"{quality.top1_agreement:.2%}", ""),
    ]
    return f"{quality.text}, {quality.tokens} tokens\n{_table(rows)}"


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    return "\n".join(f"  {name:<16}{a:>12}{b:>12}{change:>10}".rstrip() for name, a, b, change in rows)
