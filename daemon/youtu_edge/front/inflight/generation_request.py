"""A request for an answer: what the engine computes, and what only the front does with it."""

from __future__ import annotations

from youtu_edge.config import Punctuation
from youtu_edge.protocol.to_engine import Submit


class GenerationRequest(Submit, tag_field="t", tag="submit", omit_defaults=True):
    """A Submit; the engine skips the fields that are only here."""

    is_repeatable: bool = False
    """Greedy, or with a seed of the client's own: the same request is answered the same again."""
    punctuation: Punctuation = "off"
    """What is done to the text before it is sent."""
