"""youtu-edge: an LLM appliance daemon for small Linux boards."""

__version__ = "0.1.0"
