"""Libraries of optional extras, imported when needed."""

from __future__ import annotations

import importlib
from typing import Any

from youtu_export.errors import ExportError


def optional_library(name: str, *, user: str, extra: str) -> Any:
    """The module `name`. Raises ExportError, which says what `user` needs and how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(
            f"{user} needs {name.partition('.')[0]}, which is not installed ({error}); install the extra: "
            f"pip install 'youtu-edge[{extra}]'"
        ) from None
