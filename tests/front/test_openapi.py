"""The document of the interface is in step with the routes, and valid."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from schemathesis import openapi

from front.scripted_daemon import ROOT, Daemon
from youtu_edge.config import Config
from youtu_edge.front.wiring import Wiring

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document(daemon: Daemon) -> dict[str, Any]:
    status, headers, data = daemon.request("GET", "/openapi.json")
    assert (status, headers["content-type"]) == (200, "application/json")
    decoded: dict[str, Any] = json.loads(data)
    return decoded


def described(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item if method in METHODS}


# A Service that never runs leaves the socket to systemd to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_route_is_in_the_document_and_nothing_else_is(document: dict[str, Any]) -> None:
    router = Wiring(Config()).service.app.router
    served = {(route.method, route.resource.canonical) for route in router.routes() if route.resource}
    static = {(method, path) for method, path in served if path.startswith("/ui")}  # files, not an interface
    assert {(method, path) for method, path in served - static if method != "HEAD"} == described(document)


def test_every_route_has_a_row_in_docs_api_and_no_other_has(document: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    rows = {
        (method, path.partition("?")[0])
        for cell in first_cells
        for method, path in re.findall(r"`([A-Z]+) (/[^` ]*)`", cell)
    }
    rows = {(method, path) for method, path in rows if not path.startswith("/ui")}  # files, not an interface
    served = described(document)
    assert rows == served, f"docs/api.md, Routes: add rows for {served - rows}, remove {rows - served}"


def test_the_document_is_valid_openapi_with_a_summary_per_operation(document: dict[str, Any]) -> None:
    schema = openapi.from_dict(document)
    schema.validate()
    for method, path in described(document):
        operation = document["paths"][path][method.lower()]
        assert operation["summary"], f"{method} {path}"
        assert not operation["summary"].startswith(method), f"{method} {path}: say what it does in the handler's docstring"


def test_every_type_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    """Two types of one name would be told apart by their modules' names, which are nobody's business."""
    assert [name for name in document["components"]["schemas"] if not re.fullmatch("[A-Z][A-Za-z]+", name)] == []


def test_an_undeclared_query_parameter_is_refused_by_name(daemon: Daemon) -> None:
    status, _, data = daemon.request("GET", "/v1/models?limit=5")
    error = json.loads(data)["error"]
    assert (status, error["code"], error["param"]) == (400, "unsupported_parameter", "limit")


def test_a_wrong_method_is_told_which_ones_are_right(daemon: Daemon) -> None:
    status, headers, _ = daemon.request("DELETE", "/v1/models")
    assert status == 405
    assert "GET" in headers["allow"]
