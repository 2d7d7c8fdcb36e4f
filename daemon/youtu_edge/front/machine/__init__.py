"""The machine: memory pressure and what is given back, temperatures, clocks and loads of the board."""
