"""Fields of a dialect that are not computed here: hints, which are accepted, and fields that are rejected.

A table names them by their paths in the body, with the values that change nothing:

    "store": Hint(False)             any value is accepted; one other than false is named as ignored
    "options.num_ctx": Hint()        any value is named as ignored
    "include[]": Hint("logprobs")    the same for each item of a list
    "functions": Refused([])         any value other than [] is rejected

A hint cannot change the text that the client receives. What would change it and is not offered is rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from youtu_edge.request_errors import UnsupportedParameterError

ITEMS = "[]"
"""The step of a path from a list to each of its items."""


class OtherField:
    """A field of the dialect that is not computed here."""

    def __init__(self, *harmless: Any) -> None:
        """`harmless`: values that ask for what happens anyway."""
        self.harmless = harmless

    def changes_nothing(self, value: Any) -> bool:
        """Whether it is null or harmless. A boolean is no number: 0 is not false."""
        return value is None or any(
            isinstance(value, bool) == isinstance(other, bool) and value == other for other in self.harmless
        )


class Hint(OtherField):
    """It cannot change the text of an answer: accepted, and named as ignored."""


class Refused(OtherField):
    """It would change the answer: rejected by name."""


class FieldTable(Mapping[str, Hint | Refused]):
    """Fields by their paths. Those on the top level may be unknown to the body's type; all others are typed there."""

    def __init__(self, rows: Mapping[str, Hint | Refused]) -> None:
        self._rows = dict(rows)
        self._steps = {path: path.replace(ITEMS, f".{ITEMS}").split(".") for path in rows}

    def __getitem__(self, path: str) -> Hint | Refused:
        return self._rows[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def apply(self, values: dict[str, Any], typed: Iterable[str]) -> list[str]:
        """Remove the fields from `values` that are not in `typed`, the names that the body's type has.

        Returns the paths of the hints that are ignored. Raises UnsupportedParameterError for a field that is rejected.
        """
        ignored = []
        for path, field in self._rows.items():
            steps = self._steps[path]
            if steps[0] not in values:
                continue
            found = [(where, value) for where, value in _find(values, steps) if not field.changes_nothing(value)]
            if found and isinstance(field, Refused):
                where = found[0][0]
                raise UnsupportedParameterError(f"{where}: not supported by this server; leave it out", param=where)
            if found:
                ignored.append(path)
            if path == steps[0] and path not in typed:
                del values[path]
        return ignored


def _find(values: Any, steps: list[str], where: str = "") -> Iterator[tuple[str, Any]]:
    """The values at a path, each with its place in the body; whatever has another type is skipped."""
    if not steps:
        yield where, values
    elif steps[0] == ITEMS:
        for index, item in enumerate(values if isinstance(values, list) else ()):
            yield from _find(item, steps[1:], f"{where}[{index}]")
    elif isinstance(values, dict) and steps[0] in values:
        yield from _find(values[steps[0]], steps[1:], f"{where}.{steps[0]}" if where else steps[0])


NO_FIELDS = FieldTable({})
