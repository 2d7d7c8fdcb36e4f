"""Temperatures from trees as boards have them."""

from __future__ import annotations

import json
from pathlib import Path

from front.scripted_daemon import Daemon
from youtu_edge.front.thermal_zones import ThermalZone, thermal_zones

RK3588 = {"soc-thermal": "46230", "bigcore0-thermal": "47153", "littlecore-thermal": "46230", "npu-thermal": "45307"}


def tree(directory: Path, zones: dict[str, str]) -> Path:
    """A sysfs tree; zones have numbers in the order given."""
    for number, (kind, temperature) in enumerate(zones.items()):
        zone = directory / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{temperature}\n")
    (directory / "cooling_device0").mkdir()
    return directory


def test_zones_come_by_number_in_degrees(tmp_path: Path) -> None:
    """An RK3588's."""
    assert [(zone.name, zone.celsius) for zone in thermal_zones(tree(tmp_path, RK3588))] == [
        ("soc-thermal", 46.23),
        ("bigcore0-thermal", 47.153),
        ("littlecore-thermal", 46.23),
        ("npu-thermal", 45.307),
    ]


def test_zone_ten_comes_after_zone_nine(tmp_path: Path) -> None:
    """Numbers, not letters."""
    names = [f"zone-{number}" for number in range(12)]
    assert [zone.name for zone in thermal_zones(tree(tmp_path, dict.fromkeys(names, "30000")))] == names


def test_a_zone_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """An Orin's zone of a unit that is off (reading fails), a missing sensor, a text, a zone that has just gone."""
    tree(tmp_path, {"cpu-thermal": "51031", "cv0-thermal": "0", "tj-thermal": "-256000", "odd": "N/A", "gone": "1000"})
    (tmp_path / "thermal_zone1" / "temp").unlink()
    (tmp_path / "thermal_zone1" / "temp").mkdir()
    (tmp_path / "thermal_zone4" / "type").unlink()
    assert thermal_zones(tmp_path) == [ThermalZone("cpu-thermal", 51.031)]


def test_a_machine_without_sensors_has_no_temperatures(tmp_path: Path) -> None:
    """A virtual machine or a container."""
    assert thermal_zones(tmp_path / "nothing") == []


def test_the_status_tells_them(daemon: Daemon) -> None:
    """As a list of name and celsius, as long as the machine has zones that can be read."""
    temperatures = json.loads(daemon.request("GET", "/v1/status")[2])["temperatures"]
    assert [each["name"] for each in temperatures] == [zone.name for zone in thermal_zones()]
    assert all(set(each) == {"name", "celsius"} for each in temperatures)
