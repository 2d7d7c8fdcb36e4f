"""Open requests and tokenizer queries, and what an engine may be working on."""
