"""The hubs that models can be fetched from, by their names on the command line."""

from __future__ import annotations

from collections.abc import Callable

from youtu_export.hubs.hub import Hub
from youtu_export.hubs.huggingface import HuggingFace
from youtu_export.hubs.modelscope import ModelScope
from youtu_export.hubs.web import Web

HUBS: dict[str, Callable[[Web], Hub]] = {"huggingface": HuggingFace, "modelscope": ModelScope}
