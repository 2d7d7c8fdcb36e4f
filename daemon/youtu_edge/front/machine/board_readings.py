"""Readings of the board: temperatures, clock, governor, power mode, load of GPU and memory, throttling.

    temperatures  thermal zones                            any board (sysfs-class-thermal)
    governor, …   cpufreq policies                         any board
    power_mode    nvpmodel's status file and table         Jetson
    gpu_load      devfreq: load, or device/load per mille  RK3588, Jetson
    ddr_load      devfreq: dmc                             RK3588
    throttled     cooling devices that slow a clock down   any board whose device tree has them
                  get_throttled of the firmware            Raspberry Pi
                  thermal_throttle counters                x86
                  over-current counters (soctherm-oc)      Jetson

Only reads; thermal.py decides. What a board does not have is None or left out.
"""

from __future__ import annotations

import re

import msgspec

from youtu_edge.board_files import BoardFiles

_ZONES = "sys/class/thermal/thermal_zone*"
_COOLING = "sys/class/thermal/cooling_device*"
_POLICIES = "sys/devices/system/cpu/cpufreq/policy*"
_DEVFREQ = "sys/class/devfreq/*"
_JETSON_GPUS = ("ga10b", "gv11b", "gp10b")
"""What Orin, Xavier and TX2 call the device in older kernels."""
_PI_THROTTLED = ("sys/devices/platform/soc*/soc*firmware/get_throttled", "sys/devices/platform/soc*firmware/get_throttled")
_PI_NOW = 0xF
"""Under-voltage, frequency capped, throttled, soft temperature limit: now, not since boot."""
_X86_COUNTERS = "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
_JETSON_COUNTERS = "sys/class/hwmon/hwmon*/oc*_event_cnt"
_SLOWS_DOWN = re.compile(r"cpufreq|devfreq|^processor$|throttle", re.IGNORECASE)
"""Types of cooling devices that slow something down; a fan cools without."""
_LOWEST_C, _HIGHEST_C = -40.0, 150.0
"""A sensor that is switched off reads as one of the extremes of its register."""


class BoardState(msgspec.Struct, frozen=True, omit_defaults=False):
    """One reading of the board. Temperatures in degrees Celsius, loads from 0 to 1."""

    temperatures: dict[str, float] = {}
    governor: str | None = None
    frequency_mhz: int | None = None
    """Of the fastest core now."""
    frequency_limit_mhz: int | None = None
    """Its current maximum, set by the power mode, the thermal governor or an administrator."""
    power_mode: str | None = None
    gpu_load: float | None = None
    ddr_load: float | None = None
    throttled: bool | None = None
    """Whether something slows the board down now; None if the board does not report it."""

    @property
    def hottest_c(self) -> float | None:
        """The highest temperature."""
        return max(self.temperatures.values(), default=None)


class Board:
    """Reads the board. Counters are compared with those of the previous reading, so keep one object."""

    def __init__(self, files: BoardFiles) -> None:
        self._files = files
        self._counters: dict[str, int] = {}

    def read(self) -> BoardState:
        """A few dozen small reads, about a millisecond. Never raises."""
        policies = self._files.glob(_POLICIES)
        governors = {self._files.text(f"{policy}/scaling_governor") for policy in policies} - {None}
        return BoardState(
            temperatures=self._temperatures(),
            governor="+".join(sorted(str(name) for name in governors)) or None,
            frequency_mhz=self._fastest(policies, "scaling_cur_freq"),
            frequency_limit_mhz=self._fastest(policies, "scaling_max_freq"),
            power_mode=self._power_mode(),
            gpu_load=self._load("gpu", *_JETSON_GPUS),
            ddr_load=self._load("dmc"),
            throttled=self._throttled(),
        )

    def _temperatures(self) -> dict[str, float]:
        """By the zone's type in plain words: cpu-thermal and CPU-therm are both "cpu"."""
        found: dict[str, float] = {}
        for zone in self._files.glob(_ZONES):
            millidegrees = self._files.number(f"{zone}/temp")
            if millidegrees is None or not _LOWEST_C < millidegrees / 1000 < _HIGHEST_C:
                continue
            kind = (self._files.text(f"{zone}/type") or "unknown").lower()
            kind = re.sub(r"[^a-z0-9]+", "_", re.sub(r"[-_]therm(al)?([-_]zone)?$", "", kind)).strip("_") or "unknown"
            name, number = kind, 2
            while name in found:
                name, number = f"{kind}_{number}", number + 1
            found[name] = round(millidegrees / 1000, 1)
        return found

    def _fastest(self, policies: list[str], name: str) -> int | None:
        values = [kilohertz for policy in policies if (kilohertz := self._files.number(f"{policy}/{name}"))]
        return max(values) // 1000 if values else None

    def _power_mode(self) -> str | None:
        """ "15W" and the like; "mode 2" where the table of names is missing."""
        mode = self._files.number("var/lib/nvpmodel/status", r"(?<=pmode:)\d+")
        if mode is None:
            return None
        table = self._files.text("etc/nvpmodel.conf") or ""
        found = re.search(rf"^\s*<\s*POWER_MODEL\s+ID=0*{mode}\s+NAME=(\S+)\s*>", table, re.MULTILINE)
        return found.group(1) if found else f"mode {mode}"

    def _load(self, *kinds: str) -> float | None:
        for device in self._files.glob(_DEVFREQ):
            if any(kind in device.rpartition("/")[2] for kind in kinds):
                percent = self._files.number(f"{device}/load", r"^\d+(?=@|%|$)")
                if percent is not None:
                    return min(percent / 100, 1.0)
                permille = self._files.number(f"{device}/device/load")
                if permille is not None:
                    return min(permille / 1000, 1.0)
        return None

    def _throttled(self) -> bool | None:
        found: list[bool] = []
        for device in self._files.glob(_COOLING):
            state = self._files.number(f"{device}/cur_state")
            if state is not None and _SLOWS_DOWN.search(self._files.text(f"{device}/type") or ""):
                found.append(state > 0)
        for pattern in _PI_THROTTLED:
            for path in self._files.glob(pattern):
                word = self._files.text(path) or ""
                if re.fullmatch(r"(0x)?[0-9a-fA-F]+", word):
                    found.append(bool(int(word, 16) & _PI_NOW))
        for path in [*self._files.glob(_X86_COUNTERS), *self._files.glob(_JETSON_COUNTERS)]:
            count = self._files.number(path)
            if count is not None:
                found.append(count > self._counters.get(path, count))
                self._counters[path] = count
        return any(found) if found else None
