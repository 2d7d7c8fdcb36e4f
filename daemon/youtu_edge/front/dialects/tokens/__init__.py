"""The tokenizer routes: /tokenize, /detokenize and /apply-template."""
