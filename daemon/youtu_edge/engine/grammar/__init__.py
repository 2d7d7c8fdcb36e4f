"""Structured output: grammars compiled within limits, and their token masks."""
