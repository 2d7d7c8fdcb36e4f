"""Requests and tokenizer queries that are not finished, and what an engine may be working on."""
