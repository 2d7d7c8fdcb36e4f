"""Requests that are finished across crashes: the journal, and the readers that follow an answer."""
