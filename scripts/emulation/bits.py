"""Compares logits and packages on ARM64 with those of this machine, bit by bit."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulation.root import CHECKOUT, Arm64Root

SMOLLM2 = CHECKOUT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
_PATHS = [str(CHECKOUT / name) for name in ("daemon", "export", "tests")]
_TINY = """import sys
from pathlib import Path
from tiny_model import make_tiny_package
make_tiny_package(Path(sys.argv[1]), recipe="q4")
"""
_NANO = """import sys, tempfile
from pathlib import Path
from reference_data import unpack_youtu_nano
from youtu_export.__main__ import main
with tempfile.TemporaryDirectory() as scratch:
    checkpoint = Path(scratch) / "youtu-nano"
    unpack_youtu_nano(checkpoint)
    sys.exit(main(["hf", "--recipe", "q4", str(checkpoint), sys.argv[1]]))
"""


@dataclass(frozen=True)
class PackageSource:
    """`arguments` of Python, in a checkout, before the directory to export to; `needs` is a required file."""

    arguments: tuple[str, ...]
    needs: Path | None = None

    def why_not(self) -> str:
        """Why nothing can be exported, in words; "" if it can."""
        return f"{self.needs} does not exist" if self.needs and not self.needs.exists() else ""


PACKAGES: Mapping[str, PackageSource] = {
    "tiny": PackageSource(("-c", _TINY)),
    "youtu-nano": PackageSource(("-c", _NANO)),
    "smollm2": PackageSource(
        ("-m", "youtu_export", "gguf", "--recipe", "q4", "models/SmolLM2-135M-Instruct.Q4_1.gguf"), needs=SMOLLM2
    ),
}


def package(root: Arm64Root, name: str) -> Path:
    """Export the package on this machine, again in every run."""
    out = root.home / "packages" / name
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(exist_ok=True)
    here([*PACKAGES[name].arguments, str(out)])
    return out


def here(arguments: list[str]) -> str:
    """The output of a Python program on this machine, in the checkout."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(_PATHS)}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    ).stdout


def compare(root: Arm64Root, name: str, tokens: int) -> tuple[list[str], int]:
    """The differences between the two processors, one line per differing prompt; and the number of prompts."""
    directory = package(root, name)
    program = "scripts/emulation/logits.py"
    expected: list[dict[str, Any]] = json.loads(here([program, str(directory), str(tokens)]))
    done = root.run(["python3", program, f"/packages/{name}", str(tokens)], binds={directory.parent: "/packages"})
    if done.returncode != 0:
        return [f"prompt {number}: no logits: {done.stderr[-500:]}" for number in range(len(expected))], len(expected)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    differences = [difference(one, other) for one, other in zip(expected, found, strict=True)]
    return [f"prompt {number}: {what}" for number, what in enumerate(differences) if what], len(expected)


def difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """The first difference, in words; empty if there is none."""
    if expected["prompt"] != found["prompt"]:
        return "its tokens differ"
    pairs = zip(expected["logits"], found["logits"], strict=True)
    if (step := next((step for step, (one, other) in enumerate(pairs) if one != other), None)) is not None:
        return f"the logits of token {step + 1} differ"
    return "" if expected["answer"] == found["answer"] else "the same logits have another maximum"


def exported_alike(root: Arm64Root, name: str) -> str:
    """Export on ARM64 and compare with the package exported here; returns the differences, in words."""
    directory, out = package(root, name), f"/exported/{name}"
    shutil.rmtree(root.path / "exported", ignore_errors=True)
    (root.path / "exported").mkdir()
    done = root.run(["python3", *PACKAGES[name].arguments, out])
    if done.returncode != 0:
        return done.stderr[-500:]
    names = sorted(path.name for path in directory.iterdir())
    _, different, missing = filecmp.cmpfiles(directory, root.path / "exported" / name, names, shallow=False)
    return ", ".join([f"{file} differs" for file in different] + [f"{file} is missing" for file in missing])
