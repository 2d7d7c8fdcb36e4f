"""API keys: the file of hashed keys, what a key may do, what it has used, and who calls."""
