"""Between text and token ids: chat templates, tokenizer, detokenizer, in processes of their own where a death hurts nobody."""
