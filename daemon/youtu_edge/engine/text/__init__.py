"""Between text and token ids: chat templates, tokenizer, detokenizer; in processes that may die."""
