"""The machine: memory pressure and the reaction to it, temperatures, clocks and loads of the board."""
