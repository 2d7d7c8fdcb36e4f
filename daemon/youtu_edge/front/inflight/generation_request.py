"""A request for an answer: what the engine computes, and what only the front does with it."""

from __future__ import annotations

from youtu_edge.config import Punctuation
from youtu_edge.protocol.to_engine import Submit


class GenerationRequest(Submit, tag_field="t", tag="submit", omit_defaults=True):
    """A Submit with fields that only the front uses; the engine ignores them."""

    is_repeatable: bool = False
    """Greedy, or with the client's seed: the same request gets the same answer."""
    punctuation: Punctuation = "off"
    """How the text is repaired before it is sent."""
