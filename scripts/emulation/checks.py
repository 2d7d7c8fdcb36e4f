"""Runs the parts of scripts/test-arm64 and counts: `checks.py [--quick] [--cpu NAME] [PART...]`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from emulation.bits import PACKAGES, compare, exported_alike
from emulation.root import CHECKOUT, Arm64Root, why_not
from emulation.suites import ENGINE, EXPORT, OPS, PROCESS, QUICK, Suite

PARTS = ("ops", "engine", "export", "process", "bits", "vm")
QUICK_PARTS = ("ops", "bits")


@dataclass
class Result:
    """The result of one part."""

    part: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def run_suite(root: Arm64Root, suite: Suite) -> Result:
    """Run a suite with pytest."""
    print("left out: what needs SmolLM2: an emulated answer takes minutes, and `bits` compares its logits", flush=True)
    for name, reason in suite.left_out.items():
        print(f"left out: {name}: {reason}", flush=True)
    report = f"reports/{suite.name}.xml"
    (root.path / "reports").mkdir(exist_ok=True)
    (root.path / report).unlink(missing_ok=True)
    options = ["-n", str(suite.processes), "--dist", "worksteal", "-p", "no:cacheprovider", "-rs", "--durations=10"]
    options += ["-o", "faulthandler_timeout=3000", f"--junitxml=/{report}"]
    options += [f"--deselect={name}" for name in suite.left_out]
    done = root.run(["python3", "-m", "pytest", *options, *suite.paths], capture=False, models=False)
    return counted(suite.name, root.path / report, done.returncode)


def run_machine(root: Arm64Root) -> Result:
    """Run the tests of a virtual machine with systemd; pytest runs on this machine."""
    report = root.home / "machine.xml"
    report.unlink(missing_ok=True)
    options = [
        "-v",
        "-p",
        "no:cacheprovider",
        "-rs",
        "--durations=10",
        f"--junitxml={report}",
        "-o",
        "faulthandler_timeout=3000",
    ]
    command = [sys.executable, "-m", "pytest", *options, "tests/arm64/service_in_machine.py"]
    done = subprocess.run(command, cwd=CHECKOUT, env=os.environ | {"QEMU_CPU": root.cpu}, check=False)
    return counted("vm", report, done.returncode)


def counted(part: str, report: Path, code: int) -> Result:
    """Count pytest's XML report; a run without a report has failed."""
    result = Result(part)
    if report.exists():
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                result.failed += 1
                result.notes.append(f"failed: {case.get('classname', '').replace('.', '/')}.py::{case.get('name')}")
            elif (skipped := case.find("skipped")) is not None:
                result.skipped += 1
                result.notes.append(f"skipped: {case.get('name')}: {skipped.get('message')}")
            else:
                result.passed += 1
    if code != 0 and not result.failed:
        result.failed += 1
        result.notes.append(f"failed: pytest exited with {code}")
    return result


def run_bits(root: Arm64Root, names: list[str], tokens: int) -> Result:
    """Compare the logits of greedy answers, one check per prompt."""
    result = Result("bits")
    for name in names:
        begun = time.monotonic()
        if reason := PACKAGES[name].why_not():
            result.skipped += 1
            result.notes.append(f"skipped: {name}: {reason}")
            continue
        differences, prompts = compare(root, name, tokens)
        result.failed += len(differences)
        result.passed += prompts - len(differences)
        result.notes += [f"failed: {name}: {difference}" for difference in differences]
        same = f"{prompts - len(differences)} of {prompts} prompts, {tokens} greedy tokens each, have the logits of x86-64"
        result.notes.append(f"{name} q4: {same}, {time.monotonic() - begun:.0f} s")
    return result


def run_export(root: Arm64Root) -> Result:
    """Run the tests, and compare packages exported on ARM64 with those exported here, byte by byte."""
    result = run_suite(root, EXPORT)
    for name in ("tiny", "youtu-nano"):
        if reason := PACKAGES[name].why_not():
            result.skipped += 1
            result.notes.append(f"skipped: export of {name}: {reason}")
        elif difference := exported_alike(root, name):
            result.failed += 1
            result.notes.append(f"failed: export of {name}: {difference}")
        else:
            result.passed += 1
            result.notes.append(f"{name} q4 exported on ARM64: every file as on x86-64")
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/test-arm64", description="Runs the project's tests on emulated ARM64.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {' '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help=f"a few minutes: a selection of {' and '.join(QUICK_PARTS)}")
    parser.add_argument("--cpu", default="cortex-a76", help="a processor that qemu supports (default: %(default)s)")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"unknown part {unknown[0]}; parts: {' '.join(PARTS)}")
    if options.quick and (too_long := [part for part in options.parts if part not in QUICK_PARTS]):
        parser.error(f"--quick does not include {too_long[0]}; it includes: {' '.join(QUICK_PARTS)}")
    if reason := why_not():
        print(f"error: {reason}", file=sys.stderr)
        return 1
    begun, root = time.monotonic(), Arm64Root(options.cpu)
    root.prepare(quick=options.quick)
    print(f"== environment ready after {time.monotonic() - begun:.0f} s", flush=True)
    runs: dict[str, Callable[[], Result]] = {
        "ops": lambda: run_suite(root, QUICK if options.quick else OPS),
        "engine": lambda: run_suite(root, ENGINE),
        "export": lambda: run_export(root),
        "process": lambda: run_suite(root, PROCESS),
        "bits": lambda: run_bits(root, ["tiny"] if options.quick else list(PACKAGES), 64),
        "vm": lambda: run_machine(root),
    }
    results = []
    for part in [part for part in (QUICK_PARTS if options.quick else PARTS) if part in options.parts or not options.parts]:
        print(f"== {part}, {options.cpu}", flush=True)
        started = time.monotonic()
        results.append(runs[part]())
        results[-1].seconds = time.monotonic() - started
    for result in results:
        print(f"== {result.part}", *result.notes, sep="\n   ")
    print(f"{'part':10}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for result in results:
        print(f"{result.part:10}{result.passed:8}{result.failed:8}{result.skipped:8}{result.seconds:9.0f}")
    failed = sum(result.failed for result in results)
    print(f"{failed} failed, {time.monotonic() - begun:.0f} s in total, emulated {options.cpu}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
