"""The memory plan of an engine on a GPU, and when the processor takes over: loaded for real on an emulated GPU."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cuda.emulated_gpu import GIB, EmulatedGpu
from tiny_model import make_tiny_package
from youtu_edge.config import Config, EngineConfig, MemoryConfig, ModelConfig
from youtu_edge.config import Device as Wanted
from youtu_edge.engine.loaded_model import LoadedModel, load_model
from youtu_edge.engine.memory.budget import budget_bytes
from youtu_edge.engine.memory.gpu_budget import RESERVE_BYTES
from youtu_edge.engine.model.gpu import Gpu
from youtu_edge.engine.model.opening import open_description
from youtu_edge.errors import DeviceError

MIB = 1024**2
CHUNK = 32 * MIB  # of weights: the least that is allocated


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_package(tmp_path_factory.mktemp("plan") / "package", recipe="q4")


def load(package: Path, device: Gpu, wanted: Wanted = "cuda", pages: int = 2048, **memory: object) -> LoadedModel:
    config = Config(
        model=ModelConfig(path=str(package), page_tokens=16, kv_cache_max_page=pages),
        engine=EngineConfig(device=wanted, threads=1),
        memory=MemoryConfig(**memory),  # type: ignore[arg-type]
    )
    return load_model(config, open_description(config), 276, device)


def test_a_gpu_s_own_memory_is_split_and_nothing_of_the_host_counts(package: Path, gpu: EmulatedGpu) -> None:
    """Half of it by default: weights, the largest step, and pages for what is left."""
    gpu.set(160 * MIB)
    loaded = load(package, gpu.open(), pages=10**6, fraction=0.5)
    plan = loaded.plan
    assert plan.as_dict() == {
        "budget": 80 * MIB, "front": 0, "weights": (package / "weights.bin").stat().st_size,
        "runtime": CHUNK - (package / "weights.bin").stat().st_size, "activations": plan.activations, "grammar": 0,
        "text": 0, "cache": plan.num_pages * plan.page_bytes,
    }  # fmt: skip
    assert plan.activations > 0
    rest = plan.budget - plan.rest - plan.activations - plan.num_pages * plan.page_bytes
    assert 0 <= rest < plan.page_bytes
    gpu.most_held()
    loaded.runner.run([1], [1], [0], [[0]], [0])
    assert gpu.most_held() <= plan.budget


def test_what_others_hold_of_a_gpu_is_left_to_them(package: Path, gpu: EmulatedGpu) -> None:
    """The fraction is of the whole; of it only what is free can be had."""
    gpu.set(256 * MIB, others=100 * MIB)
    plan = load(package, gpu.open(), pages=10**6, fraction=1.0).plan
    free = 256 * MIB - 100 * MIB - CHUNK
    assert plan.num_pages == (free - RESERVE_BYTES - plan.activations) // plan.page_bytes


def test_memory_limit_wins_over_the_fraction_on_a_gpu_too(package: Path, gpu: EmulatedGpu) -> None:
    plan = load(package, gpu.open(), pages=10**6, limit="48M").plan
    assert plan.budget == 48 * MIB
    assert plan.num_pages == (16 * MIB - plan.activations) // plan.page_bytes


def test_memory_that_gpu_and_processor_share_is_one_budget(package: Path, gpu: EmulatedGpu) -> None:
    """As on Tegra: front, libraries and texts count beside weights and cache; the file of the weights does not."""
    gpu.set(is_shared=True)
    loaded = load(package, gpu.open(), limit="1G", pages=64)
    plan, device = loaded.plan, loaded.runner.device
    assert isinstance(device, Gpu)
    parts = plan.as_dict()
    assert parts["budget"] == GIB
    assert parts["front"] > 0 < parts["text"]
    assert parts["runtime"] > CHUNK  # libraries, and what is not used of the weights' allocation
    assert sum(parts.values()) - parts["budget"] <= GIB


def test_the_shared_budget_is_a_fraction_of_the_machine_s_memory(package: Path, gpu: EmulatedGpu) -> None:
    gpu.set(is_shared=True)
    plan = load(package, gpu.open(), pages=64, fraction=0.5).plan
    assert plan.budget == budget_bytes(Config(memory=MemoryConfig(fraction=0.5)))


def test_cuda_with_too_little_memory_is_refused_with_what_to_do(package: Path, gpu: EmulatedGpu) -> None:
    gpu.set(CHUNK + 8 * MIB)
    with pytest.raises(DeviceError, match=r"needs \d+ MiB of the GPU.*raise memory\.limit.*engine\.device: cpu") as error:
        load(package, gpu.open())
    assert error.value.exit_code == 78
    assert "\n" not in error.value.message


def test_auto_goes_on_with_the_processor_and_says_why(
    package: Path, gpu: EmulatedGpu, caplog: pytest.LogCaptureFixture
) -> None:
    """What was on the GPU is freed before the model is loaded again."""
    gpu.set(CHUNK + 8 * MIB)
    caplog.set_level(logging.INFO)
    loaded = load(package, gpu.open(), "auto", pages=64)
    assert loaded.runner.device.name == "cpu"
    assert loaded.runner.device.note.startswith("no GPU: memory: the model needs")
    assert gpu.blocks == 0
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("device ")]
    assert len(told) == 2
    assert "name=cuda" in told[0]
    assert "name=cpu" in told[1]
    assert "the model needs" in told[1]
