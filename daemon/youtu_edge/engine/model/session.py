"""ONNX Runtime's session for a package: its options, its operators, and what its refusals mean."""

from __future__ import annotations

import re

import onnxruntime

from youtu_edge.engine.model.device import Device
from youtu_edge.errors import DeviceError, PackageError
from youtu_edge.package import MODEL, WEIGHTS, Package

NO_MEMORY = re.compile(r"allocate memory|bad_?alloc|smaller than requested bytes|out of memory", re.IGNORECASE)
"""How ONNX Runtime and the operators say that an allocation failed; the former has no kind of error for it."""


def make_session(package: Package, device: Device, threads: int, spin_us: int) -> onnxruntime.InferenceSession:
    """Load the graph. Raises PackageError, and DeviceError where a GPU is the reason."""
    path = package.path(MODEL)
    options = _options(device, threads, spin_us)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=device.providers)
    except Exception as error:  # the library raises many kinds
        if reason := _device_reason(device, str(error)):
            raise DeviceError(reason) from error
        raise PackageError(f"{path} with {WEIGHTS}: ONNX Runtime cannot load it: {error}") from error


def _options(device: Device, threads: int, spin_us: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads if device.name == "cpu" else 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # every step has other shapes
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin_us else "0")
    if spin_us:
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin_us))
    options.register_custom_ops_library(str(device.operators))
    return options


def _device_reason(device: Device, told: str) -> str:
    """Why the device, not the package, is the reason of a refusal; empty where it is not."""
    if device.name == "cpu":
        return ""
    if fault := device.fault():
        return f"the GPU failed while the model was loaded ({fault}): restart the service, see dmesg for Xid"
    if NO_MEMORY.search(told):
        return (
            f"the GPU has too little memory for the model ({told.splitlines()[0]}): end what else uses it, "
            "take a smaller model, or set engine.device: cpu"
        )
    if re.search(r"CUDAExecutionProvider|Could not find an implementation|[Ff]ailed to find kernel", told):
        return (
            "ONNX Runtime did not start its CUDA provider: its message in the log names the library that is missing, "
            "such as cuDNN or cuBLAS; install it, or set engine.device: cpu"
        )
    return ""
