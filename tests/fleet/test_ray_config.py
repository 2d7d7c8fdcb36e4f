"""config/fleet/ray/serve.yaml fits the limits of the daemon, and the document names the installed version. Without Ray."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from youtu_edge.config import Config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def application() -> Any:
    (found,) = yaml.safe_load((ROOT / "config" / "fleet" / "ray" / "serve.yaml").read_text())["applications"]
    return found


def boards(application: Any) -> Any:
    (found,) = (each for each in application["deployments"] if each["name"] == "boards")
    return found


def test_the_ingress_rejects_the_bodies_that_the_daemon_rejects(application: Any) -> None:
    assert application["args"]["max_body_bytes"] == Config().service.max_body_bytes


def test_a_full_board_lets_requests_wait_instead_of_rejecting_them(application: Any) -> None:
    assert boards(application)["max_ongoing_requests"] < Config().service.max_queue


def test_boards_are_added_when_half_of_the_batch_is_in_use(application: Any) -> None:
    assert boards(application)["autoscaling_config"]["target_ongoing_requests"] == Config().scheduler.max_sequences / 2


def test_running_answers_may_finish_when_a_board_is_scaled_away(application: Any) -> None:
    """Serve waits for them, and only then stops the daemon, which drains once more."""
    assert boards(application)["graceful_shutdown_timeout_s"] > Config().service.drain_s


def test_the_document_names_the_version_of_the_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (requirement,) = project["optional-dependencies"]["fleet"]
    assert f"`{requirement}`" in (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
