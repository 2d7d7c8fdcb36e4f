"""The relative error of every rounded matrix as a picture: one bar each, in the order of the model, coloured by kind."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from youtu_export.optional_library import optional_library

_INCHES, _DPI = (10.0, 4.2), 120
_MOST_TICKS = 16
_LAYER = re.compile(r"\.layers\.([0-9]+)\.")


@dataclass(frozen=True)
class MatrixError:
    """sqrt(sum (W - Q(W))^2 / sum W^2) of one matrix; rows and columns as AWQ scaled them."""

    name: str
    bits: int
    relative_error: float

    @property
    def kind(self) -> str:
        """attention, feed-forward and so on: the second last part of the name."""
        parts = self.name.removesuffix(".weight").split(".")
        return parts[-2] if len(parts) > 1 and not parts[-2].isdigit() else parts[-1]


def drawing_library(module: str = "matplotlib") -> Any:
    """Raises ExportError if it is not installed."""
    return optional_library(module, user="the chart of --report", extra="export")


def error_chart(errors: Sequence[MatrixError], title: str) -> bytes:
    """PNG of `errors`, of which there is at least one. The same bytes for the same errors and library."""
    file = io.BytesIO()
    error_figure(errors, title).savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def error_figure(errors: Sequence[MatrixError], title: str) -> Any:
    """A matplotlib.figure.Figure."""
    figure = drawing_library("matplotlib.figure").Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    for kind in sorted({error.kind for error in errors}):
        places = [place for place, error in enumerate(errors) if error.kind == kind]
        axes.bar(places, [100 * errors[place].relative_error for place in places], width=0.9, label=kind)
    axes.set_title(title, parse_math=False)
    axes.set_ylabel("relative error, %")
    axes.set_xlabel("matrices in the order of the table, by layer")
    ticks = _first_of_layers(errors)
    axes.set_xticks(list(ticks.values()), [str(layer) for layer in ticks])
    axes.margins(x=0.01)
    axes.grid(axis="y", linewidth=0.5)
    axes.set_axisbelow(True)
    figure.legend(title="kind", loc="outside right upper")
    return figure


def _first_of_layers(errors: Sequence[MatrixError]) -> dict[int, int]:
    """Layer -> the place of its first matrix; of many layers, so many that their numbers have room."""
    first: dict[int, int] = {}
    for place, error in enumerate(errors):
        if found := _LAYER.search(error.name):
            first.setdefault(int(found[1]), place)
    step = -(-len(first) // _MOST_TICKS) if first else 1
    return {layer: place for layer, place in first.items() if layer % step == 0}
