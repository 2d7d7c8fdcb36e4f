"""Dashboard and alerts use existing metrics, and every alert is documented."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
METRICS = re.findall(
    r"^\| `(youtu_edge_\w+)` \| (counter|gauge|histogram) \|", (ROOT / "docs/api.md").read_text("utf-8"), re.MULTILINE
)
LABELS = {"board", "instance", "job", "outcome", "code", "sensor", "database", "result", "le"}


def series() -> set[str]:
    """Names that a query may use: those of the table, and what Prometheus makes of a histogram."""
    parts = ("bucket", "sum", "count")
    return {name for name, kind in METRICS if kind != "histogram"} | {
        f"{name}_{part}" for name, kind in METRICS if kind == "histogram" for part in parts
    }


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((ROOT / "monitoring/alerts.yml").read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "monitoring/grafana.json").read_text("utf-8"))
    return document


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (variable["query"]["query"] for variable in dashboard()["templating"]["list"] if variable["type"] == "query")


def test_the_table_of_metrics_is_found() -> None:
    assert len(METRICS) > 40
    assert len(series()) > len(METRICS)


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_an_expression_uses_metrics_and_labels_that_exist(expression: str) -> None:
    assert set(re.findall(r"youtu_edge_\w+", expression)) <= series()
    for selector in re.findall(r"\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)\s*[=!]", selector)) <= LABELS
    for grouping in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", grouping)) <= LABELS


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_an_expression_is_one_of_prometheus(expression: str) -> None:
    promql_parser = pytest.importorskip("promql_parser", reason="pip install promql-parser")
    if not expression.startswith("label_values("):  # Grafana's own
        promql_parser.parse(expression)


def test_a_counter_is_never_shown_without_its_rate() -> None:
    """A counter by itself only tells how long ago the last restart was."""
    counters = {name for name, kind in METRICS if kind == "counter"}
    for expression in expressions():
        for name in counters & set(re.findall(r"youtu_edge_\w+", expression)):
            assert re.search(r"(rate|increase)\(" + name, expression) or "offset" in expression, expression


def test_every_alarm_is_explained_and_every_explanation_has_its_alarm() -> None:
    """docs/operations.md: a row per alarm, with what to do."""
    rows = re.findall(r"^\| `(YoutuEdge\w+)` \|", (ROOT / "docs/operations.md").read_text("utf-8"), re.MULTILINE)
    assert rows == [rule["alert"] for rule in rules()]


def test_an_alarm_says_how_bad_it_is_and_where() -> None:
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        if not rule["alert"].startswith("YoutuEdgeBoards"):  # which are about all boards together
            where = "board" if "youtu_edge_board_info" in rule["expr"] else "instance"
            assert f"{{{{ $labels.{where} }}}}" in rule["annotations"]["summary"]
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "0s"))


def test_the_panels_of_the_dashboard_lie_beside_each_other() -> None:
    """24 columns, no two on the same place, ids and letters of queries given once."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        position = panel["gridPos"]
        assert position["x"] >= 0
        assert position["x"] + position["w"] <= 24
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
    for first, second in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        beside = first["x"] + first["w"] <= second["x"] or second["x"] + second["w"] <= first["x"]
        below = first["y"] + first["h"] <= second["y"] or second["y"] + second["h"] <= first["y"]
        assert beside or below


def test_the_boards_that_are_selected_choose_the_devices_that_are_shown() -> None:
    """By name and by address; with neither, all."""
    variables = {variable["name"]: variable for variable in dashboard()["templating"]["list"]}
    assert list(variables) == ["datasource", "board", "instance"]
    assert variables["instance"]["query"]["query"] == 'label_values(youtu_edge_board_info{board=~"$board"}, instance)'
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            assert 'instance=~"$instance"' in target["expr"]
            assert ("{{board}}" in target["legendFormat"]) == ("group_left (board)" in target["expr"])
