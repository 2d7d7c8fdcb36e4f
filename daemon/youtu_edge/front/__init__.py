"""The front process: HTTP, admission and supervision of the engine. Imports no numpy, ONNX Runtime or tokenizer."""
