"""docs/api.md lists every route with its method, and its examples can be pasted."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from process.openai_models import Model

API = Path(__file__).resolve().parents[2] / "docs" / "api.md"
ROWS = re.findall(r"(?m)^\| `([A-Z]+) (/\S*)` \| .* \| `(curl .*)` \|$", API.read_text("utf-8"))
"""Method, path and example of every row of the tables of routes."""
REFUSED = {f"/api/{name}" for name in ("pull", "push", "create", "copy", "delete", "embed", "embeddings")}
"""Routes that the document calls rejected."""


def test_every_route_has_a_row_with_its_method(nano_model: Model) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{nano_model.daemon.port}/openapi.json", timeout=20) as answer:
        paths = json.load(answer)["paths"]
    served = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert {(method, path) for method, path, _ in ROWS} == served | {("GET", "/ui/{name}")}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_every_example_is_answered(nano_model: Model, tmp_path: Path) -> None:
    """In the order of the document, with $ID as it says. The request that is to be cancelled does not exist, the response
    may have ended, and the turn may have another number."""
    variables = {"ID": ""}
    for method, path, example in ROWS:
        command = example.replace("localhost:8080", f"127.0.0.1:{nano_model.daemon.port}")
        command = command.replace("curl ", "curl --silent --show-error --write-out '\\n%{http_code} %{method}' ", 1)
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=variables, capture_output=True, text=True, check=True, timeout=60
        )
        text, _, told = done.stdout.rpartition("\n")
        expected = 404 if path.startswith("/v1/requests/") else 400 if path in REFUSED else 200
        if path.endswith("/cancel") and "has ended already" in text:
            expected = 400
        if path.endswith("/turns/{turn}") and "has no turn" in text:
            expected = 404
        assert told == f"{expected} {method}", f"{example}: {text}{told}"
        if '"background":true' in example:
            variables["ID"] = json.loads(text)["id"]
