"""`youtu-edge doctor [--config FILE] [--user NAME] [--json]`: exit code 0 when the daemon can run, 1 when it cannot."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Sequence
from pathlib import Path

from youtu_edge import __version__
from youtu_edge.config import Config
from youtu_edge.config_file import load_config
from youtu_edge.doctor.examination import examine
from youtu_edge.doctor.finding import Finding, worst
from youtu_edge.doctor.surroundings import Surroundings
from youtu_edge.errors import EXIT_FAILURE, EXIT_OK, ConfigError

SERVICE_USER = "youtu-edge"


def run(config_file: str | None, overrides: Sequence[str], *, user: str | None, as_json: bool) -> int:
    """Print a line for each finding, as it is made; all of them at once with `as_json`."""
    try:
        config, error = load_config(config_file, overrides, os.environ), ""
    except ConfigError as invalid:
        config, error = Config(), invalid.message
    file = Path(config_file) if config_file else None
    return report(Surroundings(config, file, user=_service_user() if user is None else user), error, as_json=as_json)


def report(surroundings: Surroundings, config_error: str, *, as_json: bool) -> int:
    """Examine, print, and return the exit code."""
    found: list[tuple[str, Finding]] = []
    for check, finding in examine(surroundings, config_error):
        found.append((check, finding))
        if not as_json:
            print(f"{finding.level:<4}  {check:<13}  {finding.message}", flush=True)
    level = worst(finding for _, finding in found)
    if as_json:
        lines = [{"check": check, "level": one.level, "message": one.message} for check, one in found]
        json.dump({"version": __version__, "level": level, "findings": lines}, sys.stdout, ensure_ascii=False, indent=2)
        print()
    return EXIT_FAILURE if level == "fail" else EXIT_OK


def _service_user() -> str:
    """The service's user if we are root and it exists, else the current user."""
    try:
        return pwd.getpwnam(SERVICE_USER).pw_name if os.geteuid() == 0 else ""
    except KeyError:
        return ""
