"""AWQ: scales found by calibration on the graph of the float model."""
