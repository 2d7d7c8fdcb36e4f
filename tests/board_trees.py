"""Small copies of boards' /sys trees, with the names from their kernels' documentation and device trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

CPU = "sys/devices/system/cpu"
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


def cores(parts: Sequence[int], capacities: Sequence[int], *, online: str = "") -> dict[str, str]:
    """Cores by their part numbers (0: not Arm's) and capacities (0: the kernel tells none); `online` is a list: 0-3."""
    last = len(parts) - 1
    found = {f"{CPU}/present": f"0-{last}\n", f"{CPU}/online": (online or f"0-{last}") + "\n"}
    for number, (part, capacity) in enumerate(zip(parts, capacities, strict=True)):
        if part:
            found[f"{CPU}/cpu{number}/regs/identification/midr_el1"] = f"0x00000000{0x410F0000 | part << 4:x}\n"
        if capacity:
            found[f"{CPU}/cpu{number}/cpu_capacity"] = f"{capacity}\n"
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

A55, A76, A78AE = 0xD05, 0xD0B, 0xD42

RK3588_CORES = cores([A55] * 4 + [A76] * 4, [397] * 4 + [1002] * 2 + [1024] * 2)
"""As the kernel works the capacities out of the device tree (530 and 1024) and the clocks; one pair of A76 is slower."""

ORIN_NX_MODES = {  # name -> number, cores, highest clock in kHz: of the module with 16 GB, JetPack 6
    "MAXN": (0, "0-7", 1984000),
    "10W": (1, "0-3", 1190400),
    "15W": (2, "0-3", 1420800),
    "25W": (3, "0-7", 1497600),
}


def orin_nx(mode: str) -> dict[str, str]:
    """Orin NX in a power mode: its cores, clocks and what nvpmodel notes."""
    number, online, highest = ORIN_NX_MODES[mode]
    clusters = (0, 4) if online == "0-7" else (0,)
    table = "".join(f"< POWER_MODEL ID={other[0]} NAME={name} >\n" for name, other in ORIN_NX_MODES.items())
    return {
        **zones({"cpu-thermal": 51218, "tj-thermal": 51218}),
        **policies("schedutil", dict.fromkeys(clusters, (729600, highest, 1984000))),
        **cores([A78AE] * 8, [1024] * 8, online=online),
        "var/lib/nvpmodel/status": f"pmode:{number:04}",
        "etc/nvpmodel.conf": table + "< PM_CONFIG DEFAULT=2 >\n",
        "dev/nvhost-gpu": "",
    }


X86_CORES = {
    **cores([0, 0], [0, 0]),
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R)  Core(TM) i7-1260P\n\nprocessor\t: 1\nmodel name\t: other\n",
}

VIRTUAL_MACHINE = {"sys/class/thermal/cooling_device0/type": "Processor\n"}


def plant(root: Path, tree: Mapping[str, str]) -> Path:
    """Write the files below `root`."""
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
