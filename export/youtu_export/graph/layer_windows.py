"""Which layers of a model attend to a window of the context: sliding_window and layer_types of config.json."""

from __future__ import annotations

from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.errors import ExportError

Windows = tuple[int | None, ...]
"""For each layer the tokens that a token attends to, the last one itself; None: all of them."""
_FULL, _SLIDING = "full_attention", "sliding_attention"


def windows_from_config(config: ModelConfig, layers: int, *, whole_every: int = 0) -> Windows:
    """The window of every layer; without layer_types all layers have sliding_window, but for one in `whole_every`.

    Raises ExportError for other kinds of layers, and for layer_types without a window or of another length.
    """
    window = None if config.get("sliding_window") is None else config.integer("sliding_window")
    kinds = config.items("layer_types")
    if not kinds:
        whole = [window is None or (bool(whole_every) and (layer + 1) % whole_every == 0) for layer in range(layers)]
        kinds = [_FULL if full else _SLIDING for full in whole]
    if len(kinds) != layers:
        raise ExportError(f"{config.path}: layer_types: {len(kinds)} entries for {layers} layers")
    for kind in kinds:
        if kind not in (_FULL, _SLIDING):
            raise ExportError(f"{config.path}: layer_types: {kind!r} is not supported, only {_FULL!r} and {_SLIDING!r}")
        if kind == _SLIDING and window is None:
            raise ExportError(f"{config.path}: layer_types: {kind!r} needs sliding_window, which is null")
    return tuple(window if kind == _SLIDING else None for kind in kinds)
