"""Build-time side of youtu-edge: turns a checkpoint into a model package."""

import youtu_edge  # noqa: F401 - disables ONNX Runtime's telemetry
