"""OpenAI's Completions: text in, text out, without a chat template."""
