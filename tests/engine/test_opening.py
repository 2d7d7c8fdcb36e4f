"""From a package directory to a runner: only checked files are served, and damaged ones are named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from score import run
from tiny_model import make_tiny_package
from youtu_edge.config import Config, EngineConfig, ModelConfig
from youtu_edge.engine.model.opening import OpenedModel, open_description, open_model
from youtu_edge.errors import PackageError


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_package(tmp_path_factory.mktemp("opening") / "package", recipe="q4")


def opened(package: Path, **model: object) -> OpenedModel:
    model_config = ModelConfig(path=str(package), **model)  # type: ignore[arg-type]
    config = Config(model=model_config, engine=EngineConfig(threads=1))
    return open_model(config, open_description(config))


@pytest.mark.parametrize("name", ["weights.bin", "model.onnx", "tokenizer.json", "generation.json"])
def test_a_damaged_file_is_named(original: Path, tmp_path: Path, name: str) -> None:
    package = shutil.copytree(original, tmp_path / "package")
    data = bytearray((package / name).read_bytes())
    data[len(data) // 2] ^= 1
    (package / name).write_bytes(data)
    with pytest.raises(PackageError, match=rf"/{name}: sha256"):
        opened(package)


def test_damaged_weights_are_the_reason_whatever_the_operators_say_about_them(original: Path, tmp_path: Path) -> None:
    """They are read while their check runs, and their scales are NaN."""
    package = shutil.copytree(original, tmp_path / "package")
    (package / "weights.bin").write_bytes(b"\xff" * (package / "weights.bin").stat().st_size)
    with pytest.raises(PackageError, match=r"weights\.bin: sha256"):
        opened(package)


def test_what_an_earlier_version_left_beside_the_files_is_ignored(original: Path, tmp_path: Path) -> None:
    """`youtu-edge model prepare` used to write a directory into the package."""
    package = shutil.copytree(original, tmp_path / "package")
    (package / "prepared").mkdir()
    (package / "prepared" / "weights.bin").write_bytes(b"old")
    first, second = opened(original).runner, opened(package).runner
    for runner in (first, second):
        runner.allocate_cache(1)
    assert (run(first, [1, 2, 3]) == run(second, [1, 2, 3])).all()


def test_a_shorter_and_a_stretched_context_are_served(original: Path) -> None:
    assert opened(original).runner.context_length == 512
    assert opened(original, context_length=100).runner.context_length == 100
    assert opened(original, context_length=1024, rope_scaling="dynamic").runner.context_length == 1024
