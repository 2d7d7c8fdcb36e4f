"""The memory budget, what a model needs of it, and what is returned to the system."""
