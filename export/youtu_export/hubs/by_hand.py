"""Advice for a hub that cannot be reached: which files to fetch on another computer, and where to put them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from youtu_edge.package import TOKENIZER
from youtu_export.checkpoints.hf_reader import CONFIG, INDEX, SINGLE
from youtu_export.checkpoints.hf_text import TEXT_FILES
from youtu_export.hubs.hub import Hub, HubFile, Listing


def unlisted(hub: Hub, model: str, revision: str, gguf: str | None) -> str:
    """For a model whose files are not known yet."""
    page = hub.page(model, revision)
    if gguf is not None:
        return f"without a network, fetch {gguf} from {page} elsewhere, copy it here and give its path instead"
    optional = ", ".join(name for name in TEXT_FILES if name != TOKENIZER)
    return (
        f"without a network, fetch from {page} elsewhere {CONFIG}, {TOKENIZER}, {SINGLE} (or {INDEX} and all "
        f"files that it lists) and, if they exist, {optional}; copy them into a directory here and give that instead"
    )


def listed(hub: Hub, listing: Listing, missing: Sequence[HubFile], directory: Path) -> str:
    """For known files: the names of the missing ones, and the directory in which the next run finds them."""
    names = ", ".join(file.path for file in missing)
    return (
        f"run the same command to continue; or fetch {names} from {hub.page(listing.model, listing.commit)} elsewhere, "
        f"copy to {directory}, and add --revision {listing.commit}"
    )
