"""The front process: HTTP, admission and supervision of the engine. Imports neither numpy nor ONNX Runtime nor a tokenizer."""
