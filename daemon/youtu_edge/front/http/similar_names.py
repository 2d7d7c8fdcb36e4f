"""Suggestions for names that are not known: of fields, of routes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MAX_CHARS = 100
"""Of a name that is compared; the comparison takes time in proportion to the square."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "; did you mean `…`?" with the most similar of `known`; "" if none is similar or the name is very long."""
    if len(name) > _MAX_CHARS:
        return ""
    similar = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.65)
    return f"; did you mean `{similar[0]}`?" if similar else ""
