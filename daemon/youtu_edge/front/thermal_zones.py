"""Temperatures of the board, as Linux tells them in sysfs. Decides nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec

THERMAL = Path("/sys/class/thermal")


class ThermalZone(msgspec.Struct, frozen=True):
    """One sensor. `name` is the zone's type: soc-thermal, gpu-thermal, x86_pkg_temp …"""

    name: str
    celsius: float


def thermal_zones(directory: Path = THERMAL) -> list[ThermalZone]:
    """Every zone that can be read now, by number. Jetson's zones of units that are off cannot, and are left out."""
    zones = []
    for path in sorted(directory.glob("thermal_zone*"), key=lambda path: (len(path.name), path.name)):
        try:
            name = (path / "type").read_text().strip()
            celsius = int((path / "temp").read_text()) / 1000
        except (OSError, ValueError):
            continue
        if name and -40 <= celsius <= 150:  # drivers report a missing sensor as -256 °C or 0x7fffffff
            zones.append(ThermalZone(name, celsius))
    return zones
