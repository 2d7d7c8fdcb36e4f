"""docs/api.md shows the tables of fields that are ignored or rejected, and every path in them leads to a field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from youtu_edge.config import Config
from youtu_edge.front.http.allowed_words import field_names
from youtu_edge.front.http.field_table import FieldTable, Hint, Refused
from youtu_edge.front.http.route import Route
from youtu_edge.front.wiring import Wiring

API = Path(__file__).resolve().parents[2] / "docs/api.md"

# A Service that never runs leaves the socket to systemd to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    """Those that have such fields."""
    return [route for route in Wiring(Config()).routes if route.others]


def row(paths: list[str], table: FieldTable) -> str:
    def cell(kind: type) -> str:
        return ", ".join(shown(path, *field.harmless) for path, field in sorted(table.items()) if isinstance(field, kind))

    def shown(path: str, *harmless: Any) -> str:
        values = ", ".join(f"`{json.dumps(value)}`" for value in harmless)
        return f"`{path}` ({values})" if values else f"`{path}`"

    return f"| {', '.join(f'`{path}`' for path in paths)} | {cell(Hint)} | {cell(Refused)} |"


def test_the_document_has_a_row_for_each_table(routes: list[Route]) -> None:
    paths: dict[int, list[str]] = {}
    tables: dict[int, FieldTable] = {}
    for route in routes:
        paths.setdefault(id(route.others), []).append(route.path)
        tables[id(route.others)] = route.others
    text = API.read_text("utf-8").partition("\n## Fields that are ignored\n")[2].partition("\n## ")[0]
    rows = {line for line in text.splitlines() if line.startswith("| `")}
    wanted = {row(paths[key], tables[key]) for key in tables}
    assert rows == wanted, "docs/api.md, Fields that are ignored: write\n" + "\n".join(sorted(wanted - rows))


def test_a_path_below_the_top_level_leads_to_a_typed_field(routes: list[Route]) -> None:
    """Only fields of the body itself may be unknown to its type."""
    for route in routes:
        for path in route.others:
            *place, name = path.removesuffix("[]").split(".")
            if place:
                where = ".".join(place).replace("[]", "[0]")
                assert name in field_names(route.body, where), f"{route.path}: {path}"


def test_the_openapi_document_describes_them(routes: list[Route]) -> None:
    from youtu_edge.front.http.openapi import openapi_document

    document = openapi_document(routes)
    for route in routes:
        properties: dict[str, Any] = document["components"]["schemas"][route.body.__name__]["properties"]
        for path, field in route.others.items():
            if isinstance(field, Hint) and path.isidentifier():
                assert properties[path]["description"].startswith("Ignored"), f"{route.path}: {path}"
            elif field.harmless and path.isidentifier():
                assert properties[path]["enum"] == [*field.harmless, None], f"{route.path}: {path}"
    options = document["components"]["schemas"]["OllamaOptions"]["properties"]
    assert options["num_ctx"]["description"].startswith("Ignored")
    assert options["mirostat"] == {"enum": [0, None]}
    answers = document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]
    assert "X-Youtu-Edge-Ignored" in answers["headers"]


def test_every_field_of_a_table_is_accepted_or_rejected_by_it(routes: list[Route]) -> None:
    """A harmless value is neither named nor rejected, whatever the kind of the field."""
    for route in routes:
        for path, field in route.others.items():
            if path.isidentifier():
                for value in field.harmless:
                    values = msgspec.json.decode(json.dumps({path: value}))
                    assert route.others.apply(values, ()) == []
                    assert values == {}
