"""What scripts/build-wheels and scripts/make_wheelhouse make."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from wheelhouse import ROOT, make_wheelhouse, run_script

CHECK = ROOT / "scripts/wheel/check_wheel.py"
MISSING = ROOT / "scripts/wheel/missing_requirements.py"


def shipped(directory: str) -> dict[str, bytes]:
    """Files below a directory of the checkout, by their names in a wheel."""
    files = (path for path in (ROOT / directory).rglob("*") if path.is_file())
    return {f"youtu_edge/share/{path.relative_to(ROOT)}": path.read_bytes() for path in files}


def test_there_is_a_wheel_for_each_processor_and_any_python(wheels: list[Path]) -> None:
    """Named for glibc 2.28, and what the name says is true."""
    assert [re.sub(r"-\d[\w.]*-", "-VERSION-", wheel.name) for wheel in wheels] == [
        "youtu_edge-VERSION-py3-none-manylinux_2_28_x86_64.whl",
        "youtu_edge-VERSION-py3-none-manylinux_2_28_aarch64.whl",
    ]
    checked = subprocess.run([sys.executable, CHECK, *wheels], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_wheel_holds_all_that_a_service_needs_and_no_sources(wheels: list[Path]) -> None:
    """Completion, unit, users, boards and profiles as they are in the checkout; both commands; nothing to compile."""
    wanted = shipped("completions") | shipped("config") | shipped("systemd")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            assert {name: archive.read(name) for name in names if name.startswith("youtu_edge/share/")} == wanted
            commands = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
        assert "youtu_edge/front/static/index.html" in names
        if shutil.which("npm"):
            assert {"LICENSES.txt", "temml.js", "highlight.js"} <= {
                name.removeprefix("youtu_edge/front/libraries/") for name in names
            }
        assert {name.split("/")[0].split("-")[0] for name in names} == {"youtu_edge", "youtu_export"}
        assert [name for name in names if name.endswith((".cc", ".h", ".inc", "CMakeLists.txt", ".pyc"))] == []
        assert sorted(re.findall(r"(?m)^([\w-]+) ?=", commands)) == ["youtu-edge", "youtu-export"]


def test_a_source_distribution_holds_no_tests_and_none_of_their_data(tmp_path: Path) -> None:
    """It has what a wheel is built from."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, "--target", tmp_path / "backend", "scikit-build-core>=0.10"], check=True)
    program = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "backend")}
    subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, env=environment, check=True)
    (source,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"CMakeLists.txt", "daemon/youtu_edge/ops/linear.cc", "export/youtu_export/__main__.py"} <= names
    assert [name for name in names if name.startswith("tests/") or name.endswith((".xz", ".safetensors"))] == []


def test_a_wheelhouse_for_a_board_is_made_on_a_pc(tmp_path: Path) -> None:
    """Every wheel fits Python 3.12 on ARM64, and pip finds among them all that it needs."""
    wheelhouse = make_wheelhouse("aarch64", "--python", "3.12")
    names = [path.name for path in wheelhouse.glob("*.whl")]
    assert [name for name in names if not name.endswith("any.whl") and "aarch64" not in name] == []
    assert [name for name in names if (found := re.search(r"-cp(\d+)-cp\d+-", name)) and found[1] != "312"] == []
    # What pip on another Python than the device's leaves out: `; python_version < "3.13"`.
    command = [sys.executable, MISSING, wheelhouse, "3.12", "aarch64"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == ""
    pip = [sys.executable, "-m", "pip", "--isolated", "--quiet", "download", "--no-index"]
    options = ["--find-links", wheelhouse, "--dest", tmp_path, "--only-binary=:all:", "--python-version=3.12"]
    options += [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(17, 36)] + ["--platform=manylinux2014_aarch64"]
    done = subprocess.run([*pip, *options, "youtu-edge"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    checked = subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=wheelhouse, check=False)
    assert checked.returncode == 0


def test_what_only_the_device_requires_is_not_forgotten(tmp_path: Path) -> None:
    """Conditions of requirements are read for the device, not for the machine that collects."""
    requirements = (
        'old; python_version < "3.12"',
        'board>=2; platform_machine == "aarch64"',
        'pc; platform_machine == "x86_64"',
        "First[extra]",
        'more; extra == "extra"',
    )
    with zipfile.ZipFile(tmp_path / "first-1.0-py3-none-any.whl", "w") as wheel:
        metadata = ["Name: first", "Version: 1.0", *(f"Requires-Dist: {text}" for text in requirements)]
        wheel.writestr("first-1.0.dist-info/METADATA", "\n".join(metadata) + "\n\n")

    def missing(*device: str) -> list[str]:
        command = [sys.executable, MISSING, tmp_path, *device]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert missing("3.11", "aarch64") == ["board>=2", "old"]
    assert missing("3.13", "x86_64") == ["pc"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--platform", "aarch64", "--python", "3.10"], 1, "Python 3.10 is too old"),
        (["--platform", "aarch64", "--python", "python3"], 1, "such as 3.12, not python3"),
        (["--platform", "riscv64"], 2, "usage: ./scripts/make_wheelhouse"),
        ([], 2, "usage: ./scripts/make_wheelhouse"),
    ],
)
def test_a_wheelhouse_that_cannot_be_is_refused(options: list[str], code: int, said: str, tmp_path: Path) -> None:
    """With what to do instead, and before anything is built or fetched."""
    directory = tmp_path / "wheels"
    done = run_script("make_wheelhouse", *options, *([str(directory)] if options else []))
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert not directory.exists()
