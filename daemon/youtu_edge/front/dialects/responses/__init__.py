"""OpenAI's Responses, streamed, stored and in the background."""
