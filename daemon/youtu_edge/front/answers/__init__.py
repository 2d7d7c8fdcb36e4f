"""An answer as a stream of pieces, and the loop that streams it; shared by all dialects."""
