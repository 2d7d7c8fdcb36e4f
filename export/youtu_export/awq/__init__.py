"""AWQ: scales found by calibration, through the graph of the float model."""
