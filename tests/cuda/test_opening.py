"""Opening a GPU: what each refusal of CUDA means, in one line. The real library says the first one where no driver is."""

from __future__ import annotations

from pathlib import Path

import pytest

from cuda.conftest import Build
from cuda.emulated_gpu import GIB, EmulatedGpu
from youtu_edge.engine.model.cuda_library import CudaLibrary
from youtu_edge.errors import DeviceError

OLD_DRIVER, NO_GPU, NO_CODE, OTHER = 35, 100, 209, 999


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (NO_GPU, "^no NVIDIA GPU was found: check nvidia-smi, the driver"),
        (
            OLD_DRIVER,
            r"^the NVIDIA driver supports CUDA 11\.4, and \S+\.so was built with CUDA 13\.0: update the driver, or",
        ),
        (NO_CODE, r"has no code for this GPU \(compute capability 8\.7\): build it on this machine with scripts/build"),
        (OTHER, "^the GPU cannot be used: CUDA error 999"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_refused_with_what_to_do(gpu: EmulatedGpu, code: int, told: str) -> None:
    gpu.set(open_error=code)
    with pytest.raises(DeviceError, match=told) as error:
        gpu.open()
    assert error.value.exit_code == 78
    assert "\n" not in error.value.message


def test_a_gpu_tells_what_it_is(gpu: EmulatedGpu) -> None:
    gpu.set(8 * GIB, is_shared=True)
    facts = gpu.open().facts
    assert (facts.name, facts.capability, facts.total, facts.is_shared) == ("emulated GPU", "8.7", 8 * GIB, True)
    assert gpu.open().note == "emulated GPU, compute capability 8.7, CUDA 13.0"


def test_the_compiled_library_says_that_there_is_no_gpu(built: Build) -> None:
    """No driver is installed where the tests run; a machine with one opens its GPU."""
    library = CudaLibrary(built.library)
    if Path("/dev/nvidiactl").exists():
        assert library.open().total > 0
    else:
        with pytest.raises(DeviceError, match="no NVIDIA GPU was found"):
            library.open()
