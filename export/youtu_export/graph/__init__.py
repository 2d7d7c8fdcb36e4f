"""The ONNX graph of a model: operators, layers, one short file for each family."""
