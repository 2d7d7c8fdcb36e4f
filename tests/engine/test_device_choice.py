"""Which device is chosen, and the one-line reason when it is not the GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from youtu_edge.engine.model.cuda_library import CudaLibrary
from youtu_edge.engine.model.device_choice import check_nodes, choose_device, usable_library
from youtu_edge.engine.model.gpu import PROVIDER, Gpu
from youtu_edge.errors import EXIT_CONFIG, DeviceError


def no_gpu() -> Gpu:
    raise DeviceError("no NVIDIA GPU was found: nothing is in /dev; install the driver")


def test_cuda_without_a_gpu_is_refused_in_one_line_and_never_retried() -> None:
    with pytest.raises(DeviceError, match=r"^engine\.device: no NVIDIA GPU was found: .* install the driver$") as error:
        choose_device("cuda", no_gpu)
    assert error.value.exit_code == EXIT_CONFIG


def test_auto_without_a_gpu_is_the_processor_with_the_reason() -> None:
    device = choose_device("auto", no_gpu)
    assert device.name == "cpu"
    assert device.note == "no GPU: nothing is in /dev; install the driver"


def test_on_a_machine_without_a_driver_the_reason_is_short_with_auto_and_says_what_to_do_with_cuda(tmp_path: Path) -> None:
    def nothing() -> Gpu:
        check_nodes(tmp_path)
        raise AssertionError("a driver was found")

    assert choose_device("auto", nothing).note == "no NVIDIA GPU"
    with pytest.raises(DeviceError, match=r"^engine\.device: no NVIDIA GPU was found: .*; install the driver"):
        choose_device("cuda", nothing)


def test_cpu_looks_for_no_gpu() -> None:
    def never() -> Gpu:
        raise AssertionError("a GPU was looked for")

    device = choose_device("cpu", never)
    assert device.name == "cpu"
    assert device.note == ""


@pytest.mark.parametrize("name", ["nvidiactl", "nvhost-gpu", "nvgpu"])
def test_a_node_of_a_driver_is_looked_for_before_anything_is_loaded(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeviceError, match="none of nvidiactl, nvhost-gpu, nvgpu is in"):
        check_nodes(tmp_path)
    (tmp_path / name).touch()
    check_nodes(tmp_path)


def test_a_missing_library_and_a_missing_provider_are_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"libyoutu_edge_ops_cuda\.so was not built: run scripts/build-ops-cuda"):
        usable_library([PROVIDER], None)
    with pytest.raises(DeviceError, match=r"ONNX Runtime [\d.]+ has no CUDAExecutionProvider: install onnxruntime-gpu"):
        usable_library(["CPUExecutionProvider"], tmp_path / "x.so")
    assert usable_library([PROVIDER, "CPUExecutionProvider"], tmp_path / "x.so") == tmp_path / "x.so"


def test_a_library_that_cannot_be_loaded_is_named_with_what_to_do(tmp_path: Path) -> None:
    """For another architecture or CUDA: the loader's words are in the line."""
    path = tmp_path / "libyoutu_edge_ops_cuda.so"
    path.write_bytes(b"\x7fELF of another machine")
    with pytest.raises(DeviceError, match=r"cannot be loaded .*build it on this machine with scripts/build-ops-cuda"):
        CudaLibrary(path)
