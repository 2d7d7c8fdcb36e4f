"""Encoding at the memory limit raises MemoryError; nothing of the daemon encodes in another way."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.encoding import json_bytes, msgpack_bytes

ROOT = Path(__file__).resolve().parents[1]
FULL = """
import resource, sys
from youtu_edge import encoding
value = [["x" * 1000] * 1000 for _ in range(64)]  # 64 MB, once encoded
held = int(open("/proc/self/status").read().split("VmData:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (held + 20 * 2**20,) * 2)
try:
    getattr(encoding, sys.argv[1])(value)
except MemoryError:
    print("MemoryError")
"""

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize("function", ["msgpack_bytes", "json_bytes"])
def test_a_result_that_finds_no_memory_is_an_error_and_not_the_end_of_the_process(function: str) -> None:
    command = [sys.executable, "-c", FULL, function]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT / "daemon")}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "MemoryError\n"), done.stderr


@given(value=VALUES)
def test_results_are_those_of_msgspec(value: object) -> None:
    assert msgpack_bytes(value) == msgspec.msgpack.encode(value)
    assert json_bytes(value) == msgspec.json.encode(value)


def test_nothing_of_the_daemon_encodes_in_another_way() -> None:
    """msgspec's `encode` ends the process where memory runs out."""
    direct = re.compile(r"\b(?:msgpack|json)\.(?:encode|Encoder)\(|\.encode_lines\(")
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "daemon").rglob("*.py")
        if path.name != "encoding.py" and direct.search(path.read_text(encoding="utf-8"))
    }
    assert not found
