"""Temperatures, clocks and loads of the board."""
