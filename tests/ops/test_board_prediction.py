"""scripts/predict_boards: the kernels that it analyses are those of the library, and its figures are consistent."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from boards.kernel_trace import EMULATOR, INSTRUCTION_SETS, OPTIONS, TOOLS, KernelRuns  # noqa: E402
from boards.kernels import linear, simulate  # noqa: E402
from boards.prediction import BOARDS, Rates, bound, bytes_per_token, decode_s, first_token_s  # noqa: E402
from boards.processor import Simulator, by_hand  # noqa: E402

RATES = Rates({"linear": 0.08, "widen": 0.1, "narrow": 0.09}, {"linear": 0.045, "widen": 0.05, "narrow": 0.05}, 270.0)


def test_the_kernels_are_compiled_with_the_options_of_the_library() -> None:
    text = (ROOT / "daemon/youtu_edge/ops/CMakeLists.txt").read_text(encoding="utf-8")
    kernels = re.search(r"target_compile_options\(kernels_\S+ PRIVATE (.*?)\$\{ARGN\}", text, re.DOTALL)
    assert kernels is not None
    assert set(re.findall(r"(?<=\s)-[\w=-]+", " " + re.sub(r"#.*", "", kernels[1]))) <= set(OPTIONS)
    for namespace, options in INSTRUCTION_SETS.items():
        assert re.search(
            rf'add_kernels\({namespace} "[^"]+"{"".join(" " + re.escape(option) for option in options)}\)', text
        )


def test_pipelines_are_counted_by_hand_as_the_guide_says() -> None:
    """Two products a cycle, one shift, half a conversion, two loads; a pair of registers is two loads."""
    assert by_hand(["sdot v0.4s, v1.16b, v2.4b[0]"] * 4)["V"] == 2
    assert by_hand(["ushr v0.16b, v1.16b, #4"] * 4)["V"] == 4
    assert by_hand(["fcvtl v0.4s, v1.4h"] * 4)["V"] == 8
    assert by_hand(["ldp q0, q1, [x0]", "ldr q2, [x0, #32]", "ldr q3, [x0, #48]"])["L"] == 2
    assert by_hand(["add x0, x0, #64"] * 8) == {"V": 0, "L": 0, "front": 2}


def test_the_model_has_the_weights_of_the_package() -> None:
    """weights.bin of that shape, exported as q4-small with block 128, has 1.0606 GB."""
    assert bytes_per_token() == pytest.approx(1.0606e9, rel=1e-3)


def test_speed_follows_what_binds() -> None:
    """More bandwidth makes tokens faster and prompts not; a longer context makes both slower."""
    for board in BOARDS:
        low, high = board.bandwidth
        assert bound(board, low, RATES) > 1
        assert bytes_per_token() / high < decode_s(board, high, RATES, 0) < decode_s(board, low, RATES, 0)
        assert decode_s(board, low, RATES, 0) < decode_s(board, low, RATES, 2048)
        assert first_token_s(board, low, RATES, 512) == pytest.approx(first_token_s(board, high, RATES, 512), rel=0.02)
        assert first_token_s(board, low, RATES, 512) > 4 * first_token_s(board, low, RATES, 128)


@pytest.mark.skipif(shutil.which(f"{TOOLS}g++") is None, reason="g++-aarch64-linux-gnu is not installed")
@pytest.mark.skipif(shutil.which(EMULATOR) is None, reason="qemu-user-static is not installed")
def test_linear_on_arm_has_the_bits_of_the_portable_kernels_and_keeps_the_pipelines_busy(tmp_path: Path) -> None:
    """From four rows on, the inner loop does 70 % of the products that the processor could; one row waits for memory."""
    runs = KernelRuns(tmp_path)
    assert re.fullmatch(r"\d{6,} results have the same bits", runs.check())
    try:
        simulator = Simulator()
    except SystemExit as missing:
        pytest.skip(str(missing))
    assert simulator.model_of("neoverse-n1") == "N1"
    for rows in (4, 8):
        assert simulate(linear(4, 128, rows), runs, simulator).loop_share >= 0.7
    one = simulate(linear(4, 128, 1), runs, simulator)
    rates = Rates({"linear": one.cycles / one.kernel.products}, {}, 0.0)
    rk3588 = BOARDS[0]
    assert min(bound(rk3588, bandwidth, rates) for bandwidth in rk3588.bandwidth) > 1
