"""One package for each API that clients speak."""
