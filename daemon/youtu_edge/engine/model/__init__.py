"""The loaded model: ONNX Runtime's session, its inputs, and the cores that it computes on."""
