"""Checkpoints as they come: Hugging Face directories, GGUF, AWQ and GPTQ codes, tokenizers and templates."""
