"""The state of the unit in systemd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from youtu_edge.doctor.finding import Finding, fail, ok, warn
from youtu_edge.doctor.surroundings import Surroundings
from youtu_edge.errors import EXIT_CONFIG, EXIT_ENGINE_GAVE_UP, EXIT_NOT_AVAILABLE

_UNIT = "youtu-edge.service"
_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "ExecMainStatus",
    "NRestarts",
    "UnitFileState",
    "StatusText",
)
_TIMEOUT_S = 10.0
_LOG = "`journalctl -u youtu-edge -n 50` says why"
_CODES = {
    EXIT_NOT_AVAILABLE: "the port, the address or storage.directory was not available",
    EXIT_ENGINE_GAVE_UP: "the engine crashed repeatedly",
    EXIT_CONFIG: "the configuration or the model package cannot be used",
}
_RESULTS = {
    "start-limit-hit": "it was started too often",
    "oom-kill": "it ran out of memory",
    "watchdog": "it made no progress",
    "timeout": "it took too long",
}


def examine(_: Surroundings) -> Iterator[Finding]:
    """Asks systemctl, which is missing, or gets no answer, in containers."""
    unit = _show()
    if not unit:
        yield ok("systemd is not running here: whatever starts the daemon must supervise it")
        return
    if unit.get("LoadState") != "loaded":
        state = unit.get("LoadState", "unknown")
        what = "is not installed" if state == "not-found" else f"cannot be used ({state})"
        yield warn(f"{_UNIT} {what}; sudo youtu-edge install-service")
        return
    yield _running(unit)
    if unit.get("UnitFileState") == "disabled":
        yield warn("the service is not started at boot; sudo systemctl enable youtu-edge")
    if int(unit.get("NRestarts") or 0):
        yield warn(f"the service was restarted {unit['NRestarts']} times since its last start by hand or at boot; {_LOG}")


def _running(unit: dict[str, str]) -> Finding:
    active, status = unit.get("ActiveState", ""), unit.get("StatusText", "")
    if active in ("active", "reloading"):
        return ok(f"{_UNIT} is {active}: {status or unit.get('SubState', '')}")
    if active == "activating":
        return warn(f"{_UNIT} is starting ({status or unit.get('SubState', '')}); run this again, or {_LOG}")
    if active != "failed":
        return warn(f"{_UNIT} is {active}; sudo systemctl start youtu-edge")
    code = int(unit.get("ExecMainStatus") or 0)
    reason = _CODES.get(code) or _RESULTS.get(unit.get("Result", "")) or unit.get("Result", "unknown")
    return fail(
        f"{_UNIT} has failed: {reason} (exit code {code}, {unit.get('Result')}); {_LOG}; correct it, then "
        "`sudo systemctl reset-failed youtu-edge && sudo systemctl start youtu-edge`"
    )


def _show() -> dict[str, str]:
    command = ["systemctl", "show", _UNIT, "--property", ",".join(_PROPERTIES)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if done.returncode:
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
