"""A few minutes of scripts/test-arm64: the operators' bits and a small model's logits on an emulated Cortex-A76."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from emulation.bits import difference  # noqa: E402
from emulation.checks import counted  # noqa: E402
from emulation.root import why_not  # noqa: E402


def test_operators_and_a_small_model_compute_the_bits_of_this_machine() -> None:
    """By the cross-compiled library of the wheel, in a Debian made for it."""
    if reason := why_not():
        pytest.skip(reason)
    command = [sys.executable, ROOT / "scripts/emulation/checks.py", "--quick"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    for part in ("ops", "bits"):
        assert re.search(rf"(?m)^{part} +[1-9]\d* +0 ", done.stdout), done.stdout


def test_another_bit_is_told_with_its_place() -> None:
    """The token whose logits differ first; or the prompt's tokens, or the choice among equal logits."""
    one = {"prompt": [1, 2], "answer": [3, 4], "logits": ["aa", "bb"]}
    assert difference(one, one) == ""
    assert difference(one, one | {"logits": ["aa", "bc"], "answer": [3, 5]}) == "the logits of token 2 differ"
    assert difference(one, one | {"prompt": [1]}) == "its tokens differ"
    assert difference(one, one | {"answer": [3, 5]}) == "the same logits have another maximum"


def test_a_run_without_a_report_has_failed(tmp_path: Path) -> None:
    """A pytest that crashed or was killed is not a success; the tests in its report are counted."""
    assert counted("ops", tmp_path / "none.xml", 139).failed == 1
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="a.b" name="good"/> '
        '<testcase classname="a.b" name="bad"><failure/></testcase>'
        '<testcase classname="a.b" name="not"><skipped message="no file"/></testcase></testsuite></testsuites>'
    )
    result = counted("ops", report, 1)
    assert (result.passed, result.failed, result.skipped) == (1, 1, 1)
    assert result.notes == ["failed: a/b.py::bad", "skipped: not: no file"]
