"""A package against transformers running the checkpoint that it was made of."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from export.package_runner import PackageRunner
from reference_data import EVAL_EN
from youtu_export.__main__ import main
from youtu_export.quality.verify import verify

MISSING = [name for name in ("torch", "transformers", "optimum") if importlib.util.find_spec(name) is None]
needs_extra = pytest.mark.skipif(bool(MISSING), reason=f"the extra [verify] is not installed: {', '.join(MISSING)}")


@needs_extra
@pytest.mark.filterwarnings("ignore")  # those of torch, transformers and optimum are not ours
@pytest.mark.parametrize(("recipe", "largest_kl", "greedy"), [("f32", 1e-6, 24), ("q8", 0.002, 8), ("q4-awq", 0.02, 0)])
def test_the_package_computes_what_transformers_computes(
    recipe: str, largest_kl: float, greedy: int, nano_checkpoint: Path, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    assert main(["hf", str(nano_checkpoint), str(tmp_path / "package"), "--recipe", recipe]) == 0
    found = verify(tmp_path / "package", nano_checkpoint, [EVAL_EN], 512)
    assert found.passed
    assert found.kl_divergence < largest_kl
    assert found.reference_nll == pytest.approx(4.9407, abs=1e-3)  # the first window of reference.json
    assert max(same for _, same, _, _ in found.greedy) >= greedy


def test_a_missing_library_is_named_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["verify", str(tmp_path), "--against", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "torch" in error
    assert "youtu-edge[verify]" in error
