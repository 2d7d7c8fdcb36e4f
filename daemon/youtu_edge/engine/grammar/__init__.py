"""Structured output: grammars compiled within bounds, and the masks they give."""
