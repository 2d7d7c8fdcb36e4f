"""How many cycles a Cortex-A76 takes for instructions: llvm-mca's simulation, and the pipelines counted by hand.

LLVM has no scheduling model for the Cortex-A76 and A78: at least up to version 19, -mcpu of either uses the A57's.
Neoverse N1 is the server version of the A76, with the same pipelines, and has had a model since 17, which is used for both.
The A78 has the same two vector pipelines and three loads per cycle instead of two.

The count by hand uses the throughputs of Arm's Cortex-A76 Software Optimization Guide:

    V     both vector pipelines: sdot, fmla, fmul, fadd, and, eor, mov, dup     2 per cycle
    V1    one of them: shifts, and widening, which is a shift                   1 per cycle
    V0    the other one: conversions of four floats                             1 every second cycle
    L     loads of 16 bytes                                                     2 per cycle, a pair counts as two
    front decoded instructions                                                  4 per cycle

Neither models caches: all data is in L1.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

MODEL = "neoverse-n1"
_OLDEST = 17
_VERSION = re.compile(r"LLVM version (\d+)")
_CHUNK = 20_000  # instructions simulated at a time


@dataclass(frozen=True)
class Cycles:
    """`total` cycles for one run of the instructions, and the share of them in which each pipeline is busy."""

    total: float
    busy: dict[str, float]

    @property
    def binding(self) -> str:
        """The busiest pipelines, or "latency" if none is busy."""
        most = max(self.busy.values())
        if most < 0.85:
            return "latency"
        return "+".join(name for name, share in self.busy.items() if share > most - 0.05)


class Simulator:
    """llvm-mca, the newest installed version."""

    def __init__(self) -> None:
        """Raises SystemExit if none has the model of Neoverse N1."""
        names = ["llvm-mca", *(f"llvm-mca-{version}" for version in range(_OLDEST, 30))]
        found = [(self._version(program), program) for name in names if (program := shutil.which(name))]
        self.version, self._program = max(found, default=(0, ""))
        if self.version < _OLDEST:
            raise SystemExit(f"llvm-mca {_OLDEST} or newer is missing: apt-get install llvm-19")

    @staticmethod
    def _version(program: str) -> int:
        text = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
        found = _VERSION.search(text)
        return int(found[1]) if found else 0

    def model_of(self, cpu: str) -> str:
        """The processor whose scheduling model LLVM uses for this one: A57, N1, …"""
        pressure = self._simulate(["sdot v0.4s, v1.16b, v2.16b"], 1, cpu, "-json")
        return str(json.loads(pressure)["TargetInfo"]["Resources"][0]).partition("Unit")[0]

    def loop(self, body: Sequence[str], cpu: str = MODEL) -> Cycles:
        """One iteration of a loop that runs for long."""
        turns = 200
        document = json.loads(self._simulate(body, turns, cpu, "-json"))
        region = document["CodeRegions"][0]
        total = region["SummaryView"]["TotalCycles"] / turns
        names = [name.partition("Unit")[2].partition(".")[0] for name in document["TargetInfo"]["Resources"]]
        busy: dict[str, float] = {}
        for entry in region["ResourcePressureView"]["ResourcePressureInfo"]:
            if entry["InstructionIndex"] == len(body):  # the sum over all instructions
                name = names[entry["ResourceIndex"]]
                busy[name] = max(busy.get(name, 0.0), entry["ResourceUsage"] / total)
        return Cycles(total, busy)

    def run(self, instructions: Sequence[str]) -> float:
        """Cycles of instructions that are executed once."""
        total = 0
        for begin in range(0, len(instructions), _CHUNK):
            chunk = instructions[begin : begin + _CHUNK]
            text = self._simulate(chunk, 1, MODEL, "-instruction-info=0", "-resource-pressure=0")
            found = re.search(r"^Total Cycles: +(\d+)$", text, re.MULTILINE)
            assert found is not None
            total += int(found[1])
        return float(max(total, len(instructions) / 4))

    def _simulate(self, instructions: Sequence[str], times: int, cpu: str, *options: str) -> str:
        command = [self._program, "-mtriple=aarch64", f"-mcpu={cpu}", f"-iterations={times}", *options, "-"]
        done = subprocess.run(command, input="\n".join(instructions) + "\n", capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{self._program} failed with status {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout


_SHIFTS = re.compile(r"(?:[us]shr|[us]shll|[us]xtl|shl)2?$")
_CONVERSIONS = re.compile(r"(?:[us]cvtf|fcvtl|fcvtn|fcvtns)2?$")
_LOADS = re.compile(r"(ldp|ldr|ldur|ldnp|ld1r?)$")


def by_hand(instructions: Sequence[str]) -> dict[str, float]:
    """Least cycles of each pipeline; the largest bounds a loop whose iterations do not depend on each other."""
    one = other = either = loads = 0.0
    for line in instructions:
        name, _, operands = line.partition(" ")
        if _LOADS.match(name):
            loads += 2 if name == "ldp" and operands.startswith("q") else 1
            either += name == "ld1r"
        elif name.startswith("st"):
            either += 2.0 * operands.count("q", 0, operands.find("[")) if operands.startswith("q") else 0.0
        elif not re.search(r"\bv\d", operands):
            continue
        elif _SHIFTS.match(name):
            one += 1
        elif _CONVERSIONS.match(name):
            other += 2
        else:
            either += 1
    vectors = max(one, other, (one + other + either) / 2)
    return {"V": vectors, "L": loads / 2, "front": len(instructions) / 4}
