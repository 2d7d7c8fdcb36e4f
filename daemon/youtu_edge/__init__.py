"""youtu-edge: an LLM appliance daemon for small Linux boards."""

import os

__version__ = "0.1.0"

# Official builds of ONNX Runtime send telemetry and store a device identifier unless this is set before they are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
