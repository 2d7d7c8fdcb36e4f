"""Weights to codes and scales: recipes, AWQ calibration, the tiles of the file."""
