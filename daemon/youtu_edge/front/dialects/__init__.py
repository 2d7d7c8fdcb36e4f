"""The dialects: each package has its routes, the request it accepts, its response, and the writer of streamed responses."""
