"""Generated requests, valid and invalid, against /openapi.json."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_process import Daemon

EXAMPLES = int(os.environ.get("YOUTU_EDGE_SCHEMATHESIS_EXAMPLES", "15"))
"""Per route and phase; the log in docs tells of a run with many more."""

# Not checked: that every request that the schema allows is accepted. The schema cannot say that a prompt fits into the
# context, that a model has another name, or that two fields exclude each other.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)


@pytest.fixture
def daemon(tiny_package: Path, tmp_path: Path) -> Iterator[Daemon]:
    """A ready daemon that answers briefly."""
    with Daemon(tiny_package, tmp_path, generation__max_new_tokens=8) as running:
        running.wait_ready()
        yield running


def test_no_generated_request_breaks_the_daemon_or_its_document(daemon: Daemon, tmp_path: Path) -> None:
    """No 5xx, no undeclared status or media type, no answer or event that violates its schema, no wrong body accepted."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{daemon.port}/openapi.json"]
    options = {
        "checks": ",".join(CHECKS),
        "phases": "examples,coverage,fuzzing,stateful",
        "max-examples": EXAMPLES,
        "seed": 1,
        "request-timeout": 60,
        "suppress-health-check": "all",
    }
    run = subprocess.run(
        [*command, "--no-color", *(f"--{name}={value}" for name, value in options.items())],
        cwd=tmp_path,  # it keeps what it found in the working directory
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}\n{daemon.log[-2000:]}"
    assert daemon.get("/readyz")[0] == 200
    assert "engine_died" not in daemon.log
