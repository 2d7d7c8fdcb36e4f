"""A damaged package is refused by name and nothing is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "newer", "empty"])
def test_the_daemon_exits_with_78_and_names_the_file(tiny_package: Path, tmp_path: Path, damage: str) -> None:
    """Exit code 78 tells systemd not to try again; the message tells the technician what to do."""
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
    elif damage == "newer":
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format_version": 99}))
        expected = "newer"
    else:
        shutil.rmtree(copy)
        copy.mkdir()
        expected = MANIFEST
    command = [sys.executable, "-m", "youtu_edge", "serve", "--set", f"model.path={copy}", "--set", "service.port=0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == EXIT_CONFIG
    assert expected in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
