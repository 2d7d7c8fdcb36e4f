"""Where a checkpoint comes from: a path on this disk, which always wins, or the name of a model on a hub.

    hf      DIRECTORY    ORG/NAME
    gguf    FILE         ORG/NAME:FILE.gguf

Nothing is guessed: what does not exist and looks like neither is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from youtu_export.errors import ExportError
from youtu_export.hubs import HUBS
from youtu_export.hubs.download import HubModel, default_cache, download

DEFAULT_HUB = next(iter(HUBS))
_PART = r"[A-Za-z0-9_][\w.-]*"
_MODEL = re.compile(rf"{_PART}/{_PART}", re.ASCII)
_GGUF = re.compile(rf"(?P<model>{_PART}/{_PART}):(?P<file>[^:]+\.gguf)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class HubOptions:
    """The hub options of the command line; None is the default."""

    hub: str | None = None
    revision: str | None = None
    cache: Path | None = None

    def given(self) -> dict[str, str]:
        """Those that are set, by the names of their options."""
        values = {"--from": self.hub, "--revision": self.revision, "--cache": self.cache}
        return {name: str(value) for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A checkpoint on this disk."""

    path: Path
    name: str
    """The default name of the model."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """For the manifest: name, hub, endpoint, revision and commit of a fetched checkpoint."""
    note: str | None = None
    """A line for the person who exports."""


def find_source(format_: str, text: str, options: HubOptions) -> Source:
    """The checkpoint that `text` names, fetched if it is on a hub.

    Raises ExportError if it is neither, if hub options are given for a path, and what `download` raises.
    """
    path = Path(text)
    wanted = None if path.exists() else _hub_model(format_, text, options)
    if wanted is not None:
        return _fetched(wanted, options)
    if options.given():
        there = "is a local path" if path.exists() else "is neither a local path nor the name of a model on a hub"
        raise ExportError(f"{', '.join(options.given())}: only for models on a hub, and {text} {there}")
    if format_ == "hf" and not path.is_dir():
        there = "is not a directory" if path.exists() else "no such directory"
        raise ExportError(f"{text}: {there}, and not the name of a model on a hub, such as ORG/NAME")
    return Source(path=path, name=path.stem if format_ == "gguf" else path.resolve().name)


def _hub_model(format_: str, text: str, options: HubOptions) -> HubModel | None:
    hub, revision = options.hub or DEFAULT_HUB, options.revision
    if format_ == "gguf":
        found = _GGUF.fullmatch(text)
        if found is None:
            if _MODEL.fullmatch(text) and not text.endswith(".gguf"):
                raise ExportError(f"{text}: no such file; for a file of a model on a hub write {text}:FILE.gguf")
            return None
        return HubModel(hub=hub, model=found["model"], revision=revision, gguf=found["file"])
    return HubModel(hub=hub, model=text, revision=revision) if _MODEL.fullmatch(text) else None


def _fetched(wanted: HubModel, options: HubOptions) -> Source:
    found = download(wanted, options.cache or default_cache())
    listing = found.listing
    name = found.path.stem if wanted.gguf else wanted.model.partition("/")[2]
    origin = {
        "name": listing.model if wanted.gguf is None else f"{listing.model}:{wanted.gguf}",
        "hub": listing.hub,
        "endpoint": found.endpoint,
        "revision": listing.revision,
        "commit": listing.commit,
    }
    note = f"{listing.model} at {listing.commit}: {found.size / 1e6:.1f} MB in {found.path}, not needed by the package"
    return Source(path=found.path, name=name, origin=origin, note=note)
