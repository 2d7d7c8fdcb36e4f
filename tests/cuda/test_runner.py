"""The engine's runner on an emulated GPU, through ONNX Runtime and the operators: close to the CPU, and who holds what."""

from __future__ import annotations

import dataclasses
import gc
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from cuda.emulated_gpu import EmulatedGpu
from export.small_families import CONFIGS, ROPE, random_tensors, write_checkpoint
from tiny_model import make_tiny_package
from youtu_edge.engine.model.device import Device
from youtu_edge.engine.model.runner import Runner, StepMemoryError
from youtu_edge.errors import DeviceError, DeviceFaultError
from youtu_edge.package import MODEL, WEIGHTS, open_package
from youtu_export.checkpoints.hf_reader import open_hf
from youtu_export.export import export
from youtu_export.quantise.recipes import RECIPES

ILLEGAL_ACCESS = 700
PROMPT = [int(token) for token in np.random.default_rng(3).integers(0, 270, 41)]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_package(tmp_path_factory.mktemp("gpu") / "package", recipe="q4")


def tensor_bytes(package: Path) -> int:
    """Of all tensors in weights.bin, those at the same place counted once."""
    places = set()
    for tensor in onnx.load(package / MODEL, load_external_data=False).graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if entries:
            places.add((int(entries["offset"]), int(entries["length"])))
    return sum(length for _, length in places)


def runner_on(package: Path, device: Device | None, pages: int = 8) -> Runner:
    runner = Runner(
        open_package(package), page_tokens=16, threads=1, spin_us=0, context_length=128, device=device
    )  # fmt: skip
    runner.allocate_cache(pages)
    return runner


def conversation(runner: Runner) -> list[np.ndarray]:
    """A prompt in two chunks beside another sequence, a shared page that is copied, and steps of both together."""
    steps = [runner.run(PROMPT[:20], [20], [0], [[0, 1]], [19])]
    steps.append(runner.run([*PROMPT[20:], 7, 8, 9], [21, 3], [20, 0], [[0, 1, 2], [3]], [20, 23]))
    runner.copy_rows(1, 4, 4)  # a third sequence has the first 20 tokens of the first one
    for token in range(3):
        tokens, past = [token, token + 1, token + 2], [41 + token, 3 + token, 20 + token]
        steps.append(runner.run(tokens, [1, 1, 1], past, [[0, 1, 2], [3], [0, 4]], [0, 1, 2]))
    return steps


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Attention rounds elsewhere than the processor's, and codes of eight bits may fall to the other side of a half."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.01 * float(expected.std()))
    np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))


def test_every_step_is_close_to_the_processors(package: Path, gpu: EmulatedGpu) -> None:
    """Prefill in chunks, decoding, several sequences, a copied page: through the same graph and file."""
    expected = conversation(runner_on(package, None))
    found = conversation(runner_on(package, gpu.open()))
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs)


def test_a_step_has_the_same_bits_alone_and_in_company_in_one_piece_and_in_several(package: Path, gpu: EmulatedGpu) -> None:
    """What the GPU computes of a sequence depends on nothing else in the step, nor on how its prompt was cut."""
    whole = runner_on(package, gpu.open())
    expected = whole.run(PROMPT, [41], [0], [[0, 1, 2]], [40])
    pieces = runner_on(package, gpu.open())
    for begin in range(0, 40, 7):
        part = PROMPT[begin : min(begin + 7, 40)]
        pieces.run([*part, 5, 6], [len(part), 2], [begin, begin], [[0, 1, 2], [3, 4, 5]], [0])
    found = pieces.run([PROMPT[40], 9], [1, 1], [40, 3], [[0, 1, 2], [3, 4, 5]], [0])
    np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))


def test_weights_are_copied_once_and_their_file_is_not_kept(package: Path, gpu: EmulatedGpu) -> None:
    """A table that the head shares as well; of the mapped file nothing stays resident but what does not fill a page."""
    path = open_package(package).path(WEIGHTS)
    before = gpu.copied[0]
    runner = Runner(
        open_package(package), page_tokens=16, threads=1, spin_us=0, context_length=128, device=gpu.open()
    )  # fmt: skip
    assert gpu.copied[0] - before == tensor_bytes(package)
    assert gpu.blocks == 1  # small tensors share an allocation
    resident = 0
    for part in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
        if part.splitlines()[0].endswith(str(path)):
            resident += int(re.findall(r"^Rss:\s+(\d+) kB", part, re.MULTILINE)[0])
    assert resident <= 4 * len(runner.manifest.cache.input_names) * 12  # KiB: two ends of each tensor
    del runner


def test_integers_go_to_the_device_once_a_step_and_only_logits_come_back(package: Path, gpu: EmulatedGpu) -> None:
    """All layers have the same lengths, tables and slots. Logits are ONNX Runtime's to copy."""
    runner = runner_on(package, gpu.open())
    runner.run([1], [1], [0], [[0]], [0])
    before = gpu.copied
    runner.run([1, 2, 3], [3], [1], [[0]], [2])
    to_device, to_host, within = np.subtract(gpu.copied, before)
    ids, past, slots = 3 * 8, 4, 3 * 4  # cumulative has changed as well, the block table has not
    assert to_device == ids + 8 + past + slots
    assert to_host == within == 0


def test_logits_are_pinned_and_nobody_elses_while_anybody_has_a_row_of_them(package: Path, gpu: EmulatedGpu) -> None:
    """The same memory serves step after step; a row that is kept keeps its memory, and the next step takes another."""
    runner = runner_on(package, gpu.open())
    address = runner.run([1, 2, 3], [3], [0], [[0]], [1, 2]).ctypes.data
    pinned = gpu.pinned
    assert pinned > 0
    assert runner.run([4], [1], [3], [[0]], [0]).ctypes.data == address
    kept = runner.run([5, 6], [1, 1], [4, 0], [[0], [1]], [0, 1])[1]
    before = kept.copy()
    other = runner.run([7, 8], [1, 1], [5, 1], [[0], [1]], [0, 1])
    assert gpu.pinned == pinned + 1
    assert not np.array_equal(other[1], before)
    np.testing.assert_array_equal(kept, before)
    del kept, other
    gc.collect()
    runner.run([9], [1], [6], [[0]], [0])
    assert gpu.pinned == pinned


def test_everything_is_freed_with_the_runner(package: Path, gpu: EmulatedGpu) -> None:
    """Weights, pool and tables; scratch when it is asked for."""
    runner = runner_on(package, gpu.open())
    conversation(runner)
    assert gpu.pinned > 0
    runner.device.free_scratch()
    assert gpu.pinned == 0
    held = gpu.blocks
    assert held == 1 + len(runner.manifest.cache.input_names) + 2
    runner.allocate_cache(3)
    assert gpu.blocks == held  # the former pool made room before the next one was allocated
    del runner
    gc.collect()
    assert gpu.blocks == 0


def test_a_step_that_finds_no_memory_can_be_run_again_smaller(package: Path, gpu: EmulatedGpu) -> None:
    """Nothing of it counts; what was computed before is still there."""
    expected = conversation(runner_on(package, None))
    runner = runner_on(package, gpu.open())
    runner.run(PROMPT[:20], [20], [0], [[0, 1]], [19])
    runner.device.free_scratch()
    free, _ = gpu.open().library.memory()
    gpu.set(4 * 1024**3 - free + 64 * 1024)  # room for the integers of a step, but for no activations
    with pytest.raises(StepMemoryError, match="the GPU has no"):
        runner.run(PROMPT[20:], [21], [20], [[0, 1, 2]], [20])
    gpu.set()
    found = runner.run([*PROMPT[20:], 7, 8, 9], [21, 3], [20, 0], [[0, 1, 2], [3]], [20, 23])
    assert_close(found, expected[1])


def test_a_fault_that_stays_is_told_from_an_error_of_one_step(package: Path, gpu: EmulatedGpu) -> None:
    """The first ends the engine with its own exit code; the second fails only the request."""
    runner = runner_on(package, gpu.open())
    with pytest.raises(RuntimeError, match="is not in the table") as error:
        runner.run([10**6], [1], [0], [[0]], [0])
    assert not isinstance(error.value, DeviceFaultError)
    gpu.fail(ILLEGAL_ACCESS)
    with pytest.raises(DeviceFaultError, match=r"CUDA error 700, an illegal memory access was encountered") as fault:
        runner.run([1], [1], [0], [[0]], [0])
    assert fault.value.exit_code == 71
    with pytest.raises(DeviceFaultError):
        runner.copy_rows(0, 1, 1)
    gpu.fail(0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pages": [[9]]}, "block_table of sequence 0 names page 9, the cache has 8"),
        ({"past": [-1]}, "past_seqlens of sequence 0 is -1"),
        ({"logit_rows": [5]}, "indices element out of data bounds"),
    ],
)
def test_what_the_processor_refuses_is_refused_in_the_same_words(
    package: Path, gpu: EmulatedGpu, change: dict[str, object], told: str
) -> None:
    """Before a kernel could read or write where it says."""
    step: dict[str, object] = {"past": [0], "pages": [[0]], "logit_rows": [0]} | change
    for device in (None, gpu.open()):
        runner = runner_on(package, device)
        with pytest.raises(Exception, match=told):
            runner.run([1], [1], **step)  # type: ignore[arg-type]


def test_a_package_with_a_float_cache_is_refused_with_what_to_do(tmp_path: Path, gpu: EmulatedGpu) -> None:
    package = make_tiny_package(tmp_path / "package", recipe="f32")
    with pytest.raises(DeviceError, match=r"a cache of float32, and GPUs only have float16.*engine\.device: cpu"):
        runner_on(package, gpu.open())


def test_a_cache_that_does_not_fit_is_refused_with_what_to_do(package: Path, gpu: EmulatedGpu) -> None:
    gpu.set(40 * 1024**2)
    with pytest.raises(DeviceError, match=r"no \d+ MiB left for the cache .*lower memory\.fraction or memory\.limit"):
        runner_on(package, gpu.open(), pages=5000)


def test_a_model_that_does_not_fit_is_refused_with_what_to_do(package: Path, gpu: EmulatedGpu) -> None:
    gpu.set(16 * 1024**2)
    with pytest.raises(DeviceError, match=r"too little memory for the model .*left for weights.*engine\.device: cpu"):
        runner_on(package, gpu.open())


def test_a_latent_cache_and_heads_of_their_own_are_close_to_the_processors(tmp_path: Path, gpu: EmulatedGpu) -> None:
    """Youtu's attention: one cache a layer, absorbed projections, a table that is the head."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", CONFIGS["youtu"], random_tensors(CONFIGS["youtu"]))
    export(open_hf(checkpoint), tmp_path / "package", dataclasses.replace(RECIPES["q4"], block=32), name="youtu")
    expected = conversation(runner_on(tmp_path / "package", None))
    before = gpu.copied[0]
    runner = runner_on(tmp_path / "package", gpu.open())
    tables = 2 * 8 * 16 * ROPE // 2 * 4  # of cosines and sines: 8 pages of 16 tokens
    assert gpu.copied[0] - before == tensor_bytes(tmp_path / "package") + tables
    for ours, theirs in zip(conversation(runner), expected, strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("family", ["qwen3", "smollm3", "gemma3", "granite", "phi3"])
def test_newer_families_are_close_to_the_processors(family: str, tmp_path: Path, gpu: EmulatedGpu) -> None:
    """Norms of each head and three inputs of attention, layers without rope, scaled blocks, windows and rotated parts."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", CONFIGS[family], random_tensors(CONFIGS[family], seed=1))
    export(open_hf(checkpoint), tmp_path / "package", dataclasses.replace(RECIPES["q4"], block=32), name=family)
    expected = conversation(runner_on(tmp_path / "package", None))
    for ours, theirs in zip(conversation(runner_on(tmp_path / "package", gpu.open())), expected, strict=True):
        assert_close(ours, theirs)
