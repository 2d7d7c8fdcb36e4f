"""Between text and token ids: chat templates, tokenizer, detokenizer, and the worker processes that run them."""
