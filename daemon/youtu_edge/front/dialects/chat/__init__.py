"""OpenAI's completions and chat completions, and the routes about tokens."""
