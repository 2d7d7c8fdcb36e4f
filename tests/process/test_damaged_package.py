"""A damaged package is rejected by name and nothing is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.package_weights import initializers, place
from updates_support import edited
from youtu_edge.errors import EXIT_CONFIG, PackageError
from youtu_edge.package import MANIFEST, open_package


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_is_found_and_its_file_named(tiny_package: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bit of whatever file flips, opening fails and says which file it is."""
    copy = tmp_path / "copy"
    if not copy.exists():
        shutil.copytree(tiny_package, copy)
    path = copy / data.draw(st.sampled_from(sorted(p.name for p in copy.iterdir())))
    original = path.read_bytes()
    damaged = bytearray(original)
    damaged[data.draw(st.integers(0, len(original) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    try:
        with pytest.raises(PackageError, match=path.name):
            open_package(copy)
    finally:
        path.write_bytes(original)
    open_package(copy)


def refused(package: Path) -> str:
    """What the daemon says, which must not start with this package. Exit code 78 tells systemd not to try again."""
    command = [sys.executable, "-m", "youtu_edge", "serve"]
    for setting in (f"model.path={package}", "service.port=0", "storage.directory=''"):  # its default is the machine's
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == EXIT_CONFIG, said
    assert "Traceback" not in said
    assert "ready" not in said
    return said


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "older", "newer", "empty"])
def test_the_daemon_exits_with_78_and_names_the_file(tiny_package: Path, tmp_path: Path, damage: str) -> None:
    """The message tells the technician what to do."""
    copy = tmp_path / "copy"
    shutil.copytree(tiny_package, copy)
    weights, manifest = copy / "weights.bin", copy / MANIFEST
    expected = "weights.bin"
    if damage == "flip":
        data = bytearray(weights.read_bytes())
        data[len(data) // 2] ^= 4
        weights.write_bytes(data)
    elif damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "remove":
        weights.unlink()
    elif damage in ("older", "newer"):
        version = {"older": 1, "newer": 99}[damage]
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format_version": version}))
        expected = f"{MANIFEST}: format version {version} "
    else:
        shutil.rmtree(copy)
        copy.mkdir()
        expected = MANIFEST
    assert expected in refused(copy)


@pytest.mark.parametrize("wrong", [np.nan, np.inf], ids=str)
def test_scales_that_are_no_numbers_are_refused_though_every_checksum_is_right(
    tiny_package: Path, tmp_path: Path, wrong: float
) -> None:
    """An exporter with a mistake, or a forged package: file and tensor are named."""
    name = "/model/layers.1/attn/o/scales"

    def spoil(copy: Path) -> None:
        offset, length = place(initializers(copy)[name])
        with (copy / "weights.bin").open("r+b") as file:
            file.seek(offset + length // 2)
            file.write(np.float16(wrong).tobytes())

    said = refused(edited(tiny_package, tmp_path / "copy", spoil))
    assert f"{name}: 1 scales are NaN or infinite" in said
    assert "weights.bin" in said
