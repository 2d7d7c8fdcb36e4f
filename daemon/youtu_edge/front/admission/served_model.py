"""The served model: what handlers, logs and records need of it."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Literal

import msgspec

from youtu_edge.config import ModelConfig
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.admission.sampling import read_recommendation
from youtu_edge.front.supervision.package_choice import PackageChoice
from youtu_edge.json_file import JsonError, read_bounded
from youtu_edge.log import line
from youtu_edge.package import CHAT_TEMPLATE, Manifest, read_manifest
from youtu_edge.protocol.from_engine import Ready
from youtu_edge.recommendation import Recommendation

log = logging.getLogger(__name__)


class ServedModel(msgspec.Struct, frozen=True):
    """The properties of the model once it is ready."""

    name: str
    context_length: int
    created: int
    """Unix time in seconds at which it was loaded."""
    recommendation: Recommendation = Recommendation()
    infills: bool = False
    """Whether requests may have a suffix."""
    aliases: Literal["*"] | tuple[str, ...] = ()
    """Further names; "*": all."""

    @property
    def names(self) -> set[str]:
        """What clients may call it, unless `aliases` is "*"."""
        return {self.name, "default", *self.aliases}

    def is_called(self, requested: str) -> bool:
        """Whether a request that names `requested` means this model."""
        return self.aliases == "*" or requested in self.names


class CurrentModel:
    """The served model, which an update may replace; `package` is where it comes from."""

    def __init__(self, config: ModelConfig, package: PackageChoice) -> None:
        self._config = config
        self._package = package
        self.value: ServedModel | None = None
        """None until the first engine is ready."""

    def engine_ready(self, ready: Ready) -> None:
        """An engine has loaded it."""
        self.value = ServedModel(
            name=self._config.name or ready.model,
            context_length=ready.context_length,
            created=self.value.created if self.value else int(time.time()),
            recommendation=self._recommendation(),
            infills=ready.infills,
            aliases=self._config.aliases,
        )

    def name(self) -> str:
        """Its name, also before it is loaded; "" if the package cannot be read."""
        if self.value:
            return self.value.name
        manifest = self.manifest()
        return self._config.name or (manifest.name if manifest else "")

    def checksum(self) -> str:
        """Checksum of the package; "" if it cannot be read."""
        manifest = self.manifest()
        return manifest.checksum if manifest else ""

    def manifest(self) -> Manifest | None:
        """That of its package; None if it cannot be read."""
        try:
            return read_manifest(Path(self._package.path))
        except YoutuEdgeError:  # the engine reports it
            return None

    def template(self) -> str:
        """The source of its chat template; "" if the package has none or cannot be read."""
        try:
            return read_bounded(Path(self._package.path) / CHAT_TEMPLATE).decode("utf-8", "replace")
        except (OSError, JsonError):
            return ""

    def _recommendation(self) -> Recommendation:
        try:
            return read_recommendation(Path(self._package.path))
        except YoutuEdgeError as error:
            log.warning(line("generation_ignored", reason=error.message))
            return Recommendation()
