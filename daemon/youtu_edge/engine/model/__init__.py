"""The loaded model: ONNX Runtime's session, its inputs, its device and cores."""
