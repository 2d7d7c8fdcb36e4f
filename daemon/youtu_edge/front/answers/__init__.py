"""An answer as it comes from the engine, in pieces; the core that every dialect builds on."""
