"""Records the instructions that a kernel executes: cross-compiles it for ARM64 and traces it under qemu.

A trace is the kernel's whole run, one line of assembly per executed instruction, so that nested loops, edges and calls
count as often as they run. Needs g++-aarch64-linux-gnu and qemu-user-static.
"""

from __future__ import annotations

import itertools
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OPS = ROOT / "daemon" / "youtu_edge" / "ops"
TOOLS = "aarch64-linux-gnu-"
EMULATOR = "qemu-aarch64-static"
# As in daemon/youtu_edge/ops/CMakeLists.txt; a test compares them.
OPTIONS = [
    "-std=gnu++17",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
]
INSTRUCTION_SETS = {"armv8_2": ["-march=armv8.2-a+fp16+dotprod"], "portable": []}
MULTIPLICATIONS = ("sdot", "fmla")
_LONGEST_LOOP = 8192  # bytes
_EXECUTED = re.compile(r"^Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/", re.MULTILINE)
_INSTRUCTION = re.compile(r"^ +([0-9a-f]+):\t[0-9a-f]{8} +\t(.*)$", re.MULTILINE)
# llvm-mca ignores jump addresses, and assumes a hundred cycles for a call.
_CALL = re.compile(r"^(?:bl|b|ret|br|blr)\b(?!\.).*")
_TARGET = re.compile(r"(?:0x)?[0-9a-f]+ <[^>]*>")


@dataclass(frozen=True)
class Trace:
    """Executed instructions; `loop` is the body of the innermost loop with the most multiplications."""

    instructions: list[str]
    loop: list[str]


class KernelRuns:
    """The cross-compiled kernels."""

    def __init__(self, directory: Path) -> None:
        """Compiles into `directory`. Raises SystemExit with the compiler's message."""
        self._directory = directory
        self._program = directory / "kernel_runs"
        objects = [self._compile("kernel_runs", Path(__file__).with_name("kernel_runs.cc"), [])]
        for namespace, options in INSTRUCTION_SETS.items():
            names = [f"-DYOUTU_ISA={namespace}", f'-DYOUTU_ISA_NAME="{namespace}"']
            objects.append(self._compile(namespace, OPS / "kernels_isa.cc", [*options, *names]))
        _run([f"{TOOLS}g++", "-static", *map(str, objects), "-o", str(self._program)])
        self._assembly = self._disassemble()

    def check(self) -> str:
        """Compare every kernel of Linear with the portable one. Raises SystemExit if a bit differs."""
        return self._emulate([], ["check"]).strip()

    def trace(self, arguments: Sequence[str]) -> Trace:
        """The trace of the kernel that kernel_runs.cc runs with these arguments."""
        log = self._directory / "trace.log"
        # Renamed in qemu 8.1.
        options = subprocess.run([EMULATOR, "-help"], capture_output=True, text=True).stdout
        step = "-one-insn-per-tb" if "-one-insn-per-tb" in options else "-singlestep"
        self._emulate([step, "-d", "exec,nochain", "-D", str(log)], arguments)
        executed = [int(address, 16) for address in _EXECUTED.findall(log.read_text(encoding="utf-8"))]
        log.unlink()
        begin, end = (self._address(name) for name in ("trace_begin", "trace_end"))
        first, last = executed.index(begin) + 1, executed.index(end)
        inside = executed[first:last]
        loop = [self._assembly[address] for address in self._hottest_loop(inside)]
        return Trace([self._assembly[address] for address in inside], loop)

    def _compile(self, name: str, source: Path, options: Sequence[str]) -> Path:
        target = self._directory / f"{name}.o"
        _run([f"{TOOLS}g++", *OPTIONS, *options, f"-I{OPS}", "-c", str(source), "-o", str(target)])
        return target

    def _disassemble(self) -> dict[int, str]:
        text = _run([f"{TOOLS}objdump", "-d", "-w", str(self._program)])
        return {int(address, 16): _for_mca(line) for address, line in _INSTRUCTION.findall(text)}

    def _address(self, symbol: str) -> int:
        text = _run([f"{TOOLS}nm", str(self._program)])
        found = re.search(rf"^([0-9a-f]+) T {symbol}$", text, re.MULTILINE)
        assert found is not None
        return int(found[1], 16)

    def _emulate(self, options: Sequence[str], arguments: Sequence[str]) -> str:
        return _run([EMULATOR, "-cpu", "cortex-a76", *options, str(self._program), *arguments])

    def _hottest_loop(self, executed: list[int]) -> range:
        """The addresses of one iteration, which ends with a backward jump and contains no other."""
        turns = Counter(
            (after, here) for here, after in itertools.pairwise(executed) if after <= here and here - after < _LONGEST_LOOP
        )

        def weight(loop: tuple[int, int]) -> int:
            start, stop = loop
            if any(start <= other[0] and other[1] <= stop and other != loop for other in turns):
                return 0
            body = (self._assembly[address] for address in range(start, stop + 4, 4))
            return turns[loop] * sum(line.startswith(MULTIPLICATIONS) for line in body)

        start, stop = max(turns, key=weight)
        return range(start, stop + 4, 4)


def _for_mca(line: str) -> str:
    line = line.partition("//")[0].strip()
    line = _CALL.sub("b .", line)
    return _TARGET.sub(".", line).replace("\t", " ")


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(
            f"{command[0]} failed with status {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}"
        )
    return done.stdout
