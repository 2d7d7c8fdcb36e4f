"""Build-time side of youtu-edge: turns a checkpoint into a model package."""
