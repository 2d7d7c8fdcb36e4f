"""Small copies of what boards have in /sys, as their kernels' documentation and device trees name it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

POLICY = "sys/devices/system/cpu/cpufreq/policy{0}/{1}"


def zones(temperatures: Mapping[str, int]) -> dict[str, str]:
    """Thermal zones in millidegrees, in this order."""
    found = {}
    for index, (kind, value) in enumerate(temperatures.items()):
        found[f"sys/class/thermal/thermal_zone{index}/type"] = f"{kind}\n"
        found[f"sys/class/thermal/thermal_zone{index}/temp"] = f"{value}\n"
    return found


def policies(governor: str, clocks: Mapping[int, tuple[int, int, int]]) -> dict[str, str]:
    """cpufreq policies: number -> current, allowed and highest clock in kHz."""
    found = {}
    for number, (now, allowed, highest) in clocks.items():
        for name, value in (
            ("scaling_governor", governor),
            ("scaling_cur_freq", now),
            ("scaling_max_freq", allowed),
            ("cpuinfo_max_freq", highest),
        ):
            found[POLICY.format(number, name)] = f"{value}\n"
    return found


def cooling(devices: Mapping[str, int]) -> dict[str, str]:
    """Cooling devices and their states."""
    found = {}
    for index, (kind, state) in enumerate(devices.items()):
        found[f"sys/class/thermal/cooling_device{index}/type"] = f"{kind}\n"
        found[f"sys/class/thermal/cooling_device{index}/cur_state"] = f"{state}\n"
    return found


ORIN_NX = {
    # cv0 is switched off while no accelerator runs; its sensor reads as the lowest value then.
    **zones({"cpu-thermal": 51218, "gpu-thermal": 47781, "cv0-thermal": -256000, "soc0-thermal": 49062}),
    "sys/class/thermal/thermal_zone8/type": "tj-thermal\n",
    "sys/class/thermal/thermal_zone8/temp": "51218\n",
    **policies("schedutil", {0: (1497600, 1984000, 1984000), 4: (729600, 1984000, 1984000)}),
    **cooling({"pwm-fan": 2, "cpufreq-cpu0": 0, "gpu-throttle-alert": 0}),
    "sys/class/devfreq/17000000.gpu/cur_freq": "408000000\n",
    "sys/class/devfreq/17000000.gpu/device/load": "371\n",
    "sys/class/hwmon/hwmon2/oc1_event_cnt": "0\n",
    "sys/class/hwmon/hwmon2/oc3_event_cnt": "3\n",
    "var/lib/nvpmodel/status": "pmode:0002",
    "etc/nvpmodel.conf": (
        "# one block a mode\n< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n\n< POWER_MODEL ID=1 NAME=10W >\n"
        "< POWER_MODEL ID=2 NAME=15W >\nCPU_A78_0 MAX_FREQ 1420800\n< PM_CONFIG DEFAULT=2 >\n"
    ),
}

RK3588 = {
    **zones(
        {
            "soc-thermal": 62846,
            "bigcore0-thermal": 64692,
            "bigcore1-thermal": 63769,
            "littlecore-thermal": 62846,
            "center-thermal": 61000,
            "gpu-thermal": 60077,
            "npu-thermal": 60077,
        }
    ),
    **policies("ondemand", {0: (1800000, 1800000, 1800000), 4: (2208000, 2256000, 2256000)}),
    **policies("ondemand", {6: (2304000, 2304000, 2304000)}),
    **cooling({"pwm-fan": 4, "thermal-cpufreq-0": 0, "thermal-cpufreq-1": 3, "thermal-devfreq-0": 0}),
    "sys/class/devfreq/fb000000.gpu/load": "45@300000000Hz\n",
    "sys/class/devfreq/fdab0000.npu/load": "0@1000000000Hz\n",
    "sys/class/devfreq/dmc/load": "37@1560000000Hz\n",
}

RASPBERRY_PI_5 = {
    **zones({"cpu-thermal": 78450}),
    **policies("ondemand", {0: (2400000, 2400000, 2400000)}),
    **cooling({"pwm-fan": 4}),
    # 0x8: the soft temperature limit is active; 0x50000: under-voltage and throttling have been seen since boot.
    "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "50008\n",
}

X86 = {
    **zones({"acpitz": 27800, "x86_pkg_temp": 48000, "acpitz ": 29800}),
    **policies("powersave", {0: (3400000, 4700000, 4700000), 1: (800000, 4700000, 4700000)}),
    **cooling({"Processor": 0, "intel_powerclamp": -1}),
    "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "17\n",
}

VIRTUAL_MACHINE = {"sys/class/thermal/cooling_device0/type": "Processor\n"}


def plant(root: Path, tree: Mapping[str, str]) -> Path:
    """Write the files below `root`."""
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
