"""Readers of checkpoints: Hugging Face directories, GGUF, AWQ and GPTQ codes, tokenizers and templates."""
