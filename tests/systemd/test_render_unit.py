"""The unit that systemd gets follows the configuration."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from youtu_edge.__main__ import DEFAULT_CONFIG, main
from youtu_edge.cli.render_unit import render
from youtu_edge.config import Config
from youtu_edge.config_file import load_config
from youtu_edge.errors import ConfigError

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "systemd" / "youtu-edge.service"


def unit_of(*overrides: str, path: str = DEFAULT_CONFIG) -> dict[str, list[str]]:
    """Values by key of the unit for these settings."""
    found: dict[str, list[str]] = {}
    for line in render(load_config(None, overrides), Path(path)).splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_shipped_unit_is_the_one_of_the_shipped_configuration() -> None:
    """Character for character, for the sample file as for the defaults."""
    sample = load_config(ROOT / "config" / "youtu-edge.yaml")
    assert render(sample, Path(DEFAULT_CONFIG)) == SHIPPED.read_text()
    assert render(Config(), Path(DEFAULT_CONFIG)) == SHIPPED.read_text()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("service.max_restart_rate=5/600", {"StartLimitBurst": "5", "StartLimitIntervalSec": "600"}),
        ("service.drain_s=12.5", {"TimeoutStopSec": "28"}),
        ("service.step_deadline_s=44.2", {"WatchdogSec": "45"}),
        ("service.step_deadline_s=2", {"WatchdogSec": "10"}),
        ("memory.limit=1500M", {"MemoryHigh": "1500M", "MemoryMax": "1564M"}),
        ("memory.limit='1000000000'", {"MemoryHigh": "1000000000", "MemoryMax": "1067108864"}),
        ("memory.fraction=0.25", {"MemoryHigh": "25%", "MemoryMax": "27%"}),
        ("memory.fraction=1", {"MemoryHigh": "100%", "MemoryMax": "100%"}),
        ("memory.fraction=0.001", {"MemoryHigh": "1%", "MemoryMax": "3%"}),
        ("service.port=80", {"AmbientCapabilities": "CAP_NET_BIND_SERVICE", "PrivateUsers": "no"}),
        ("service.port=0", {"AmbientCapabilities": "", "PrivateUsers": "yes"}),
    ],
)
def test_limits_follow_the_configuration(setting: str, expected: dict[str, str]) -> None:
    """Each key changes its lines."""
    unit = unit_of(setting)
    assert {key: unit[key] for key in expected} == {key: [value] for key, value in expected.items()}


def test_the_unit_starts_and_reloads_the_file_that_it_was_rendered_for() -> None:
    """Quoted as systemd reads words."""
    for path, word in (("/etc/a.yaml", "/etc/a.yaml"), ("/srv/50% of it/$x.yaml", '"/srv/50%% of it/$$x.yaml"')):
        unit = unit_of(path=path)
        assert unit["ExecStart"] == [f"/opt/youtu-edge/current/bin/youtu-edge serve --config {word}"]
        assert unit["ExecReload"][0] == f"/opt/youtu-edge/current/bin/youtu-edge check-config {word}"


def test_a_file_among_the_credentials_is_handed_over_by_systemd() -> None:
    """The YAML says where the daemon reads it; only root can read it in /etc."""
    unit = unit_of("service.keys_file=/run/credentials/youtu-edge.service/keys.json")
    assert unit["LoadCredential"] == ["keys.json:/etc/youtu-edge/keys.json"]
    assert "LoadCredential" not in unit_of()
    with pytest.raises(ConfigError, match="directly below"):
        unit_of("service.keys_file=/run/credentials/youtu-edge.service/a/keys.json")


def test_a_package_that_the_service_could_not_see_is_refused() -> None:
    """ProtectHome= and PrivateTmp= would make it vanish; the message says so now, not the daemon later."""
    with pytest.raises(ConfigError, match=r"model\.path: /var/tmp/model is below /var/tmp"):
        unit_of("model.path=/var/tmp/model")
    with pytest.raises(ConfigError, match="configuration file: /tmp/x"):
        unit_of(path="/tmp/x.yaml")


def test_a_bad_file_is_named_and_exits_with_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As everywhere else: FILE:LINE, and no half unit on stdout."""
    file = tmp_path / "bad.yaml"
    file.write_text("service:\n  drain_s: soon\n")
    assert main(["render-unit", "--config", str(file)]) == 78
    output = capsys.readouterr()
    assert f"{file}:2" in output.err
    assert output.out == ""


def test_the_unit_knows_no_directive_that_systemd_does_not() -> None:
    """`systemd-analyze verify` has nothing to say but that the program is not installed here."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    said = subprocess.run(["systemd-analyze", "verify", str(SHIPPED)], capture_output=True, text=True, check=False).stderr
    assert [line for line in said.splitlines() if "is not executable" not in line] == []
