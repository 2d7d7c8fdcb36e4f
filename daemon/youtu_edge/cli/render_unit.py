"""`youtu-edge render-unit`: the systemd unit whose limits follow the configuration.

The template, `youtu-edge.service`, is itself a valid unit, for the default configuration. These values are derived:

    StartLimitIntervalSec, StartLimitBurst    service.max_restart_rate
    ExecStart, ExecReload                     the paths of the command and of the configuration file
    TimeoutStopSec                            service.drain_delay_s and service.drain_s
    WatchdogSec                               service.step_deadline_s
    MemoryHigh, MemoryMax                     memory.limit, else memory.fraction
    CapabilityBoundingSet, AmbientCapabilities, PrivateUsers    service.port, service.extra_ports below 1024
    LoadCredential                            files of `service` below /run/credentials/youtu-edge.service
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import msgspec

from youtu_edge.config import Config
from youtu_edge.config_file import load_config
from youtu_edge.engine.memory.budget import HEADROOM_BYTES
from youtu_edge.errors import ConfigError
from youtu_edge.installation_files import CURRENT_COMMAND, installation_directory, service_command

UNIT = "youtu-edge.service"
_STOP_GRACE_S = 15
"""After drain_s: to cancel what is left, close connections and unmap the model. It takes a fraction of a second, but a busy
board may stall for seconds, and systemd kills what is late."""
_LEAST_WATCHDOG_S = 10
_CREDENTIALS = Path("/run/credentials") / UNIT
_SECRETS = Path("/etc/youtu-edge")
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 (nothing is written there)
"""Directories that ProtectHome= and PrivateTmp= hide from the service."""


def run(config_file: str | None, default: str) -> int:
    """Print the unit for a configuration file; None: for `default`, whether it exists or not. Raises ConfigError."""
    path = Path(config_file or default)
    config = load_config(path if config_file or path.exists() else None)
    print(render(config, path.absolute(), service_command()), end="")
    return 0


def render(config: Config, config_path: Path, command: Path = CURRENT_COMMAND) -> str:
    """The unit file as text; `command` runs the daemon. Raises ConfigError for paths that the service cannot see."""
    check_visible("the command", command)
    check_visible("the configuration file", config_path)
    check_visible("model.path", Path(config.model.path))
    text = (installation_directory("systemd") / UNIT).read_text(encoding="utf-8")
    for key, values in _derived(config).items():
        text = _replace(text, key, values)
    for name in _credentials(config):
        text = text.replace("\nWorkingDirectory=", f"\nLoadCredential={name}:{_quoted(_SECRETS / name)}\nWorkingDirectory=")
    text = text.replace(f"={CURRENT_COMMAND} ", f"={_quoted(command)} ")
    return text.replace("/etc/youtu-edge/youtu-edge.yaml\n", _quoted(config_path) + "\n")


def _derived(config: Config) -> dict[str, str]:
    service = config.service
    restarts, seconds = service.restart_rate
    high, limit = _memory(config)
    values = {
        "StartLimitIntervalSec": str(seconds),
        "StartLimitBurst": str(restarts),
        "TimeoutStopSec": str(math.ceil(service.drain_delay_s + service.drain_s + _STOP_GRACE_S)),
        "WatchdogSec": str(math.ceil(max(service.step_deadline_s, _LEAST_WATCHDOG_S))),
        "MemoryHigh": high,
        "MemoryMax": limit,
    }
    if any(0 < port < 1024 for port in (service.port, *service.extra_ports)):
        # In a private user namespace the capability would not apply to the host's ports.
        values |= {
            "CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
            "AmbientCapabilities": "CAP_NET_BIND_SERVICE",
            "PrivateUsers": "no",
        }
    return values


def _credentials(config: Config) -> list[str]:
    """Names of the files that systemd passes as credentials because only root may read the originals."""
    values = msgspec.structs.asdict(config.service).values()
    paths = [Path(value) for value in values if isinstance(value, str) and value.startswith(str(_CREDENTIALS))]
    for path in paths:
        if path.parent != _CREDENTIALS:
            raise ConfigError(f"{path}: systemd places credentials directly below {_CREDENTIALS}; name a file there")
    return sorted({path.name for path in paths})


def _memory(config: Config) -> tuple[str, str]:
    """MemoryHigh and MemoryMax: the budget, and a little more; a fraction stays a percentage, to fit every board."""
    if (budget := config.memory.limit_bytes) is not None:
        return _size(budget), _size(budget + HEADROOM_BYTES)
    percent = max(1, math.floor(config.memory.fraction * 100))
    return f"{percent}%", f"{min(100, percent + 2)}%"


def _size(count: int) -> str:
    return f"{count >> 20}M" if count % 2**20 == 0 else str(count)


def check_visible(what: str, path: Path) -> None:
    """Raises ConfigError for a path that the unit hides from the service."""
    for hidden in _HIDDEN:
        if path.is_relative_to(hidden):
            raise ConfigError(
                f"{what}: {path} is below {hidden}, which the service cannot see; move it to /etc or /var/lib"
            )


def _quoted(path: Path) -> str:
    """A path as a word of ExecStart=; see "QUOTING" in systemd.syntax(7)."""
    text = str(path).replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return text if re.fullmatch(r"[\w./%$-]+", text) else f'"{text}"'


def _replace(text: str, key: str, value: str) -> str:
    changed, count = re.subn(rf"(?m)^{key}=.*$", lambda _: f"{key}={value}", text)
    assert count == 1, f"{UNIT} must hold {key}= exactly once, not {count} times"
    return changed
